import copy
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.core.reference import mask
from dropkit.core.schedule import Ramp
from dropkit.methods.targeted_weight_dropout import targeted_weight_dropout, targets
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import Stepper, TargetedWeightDropout

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
UNSCALED = "the authors' code (dropouts.py) multiplies by the mask alone: no factor 1 / (1 - rate)"

SUBJECTS = [
    layer_subject(
        lambda rate: TargetedWeightDropout(nn.Linear(2, 2), rate, share=1.0),
        "all weights are targets",
        lambda layer, weight, **source: layer.weight_of("weight", weight, **source),
        Shapes((23, 23), ((66, 4), (4, 66))),
        lambda rate, shape: Declared(rate, shape, (1,) * len(shape)),
        waived={"mean": UNSCALED},
    )
]


def expected_weight(layer: TargetedWeightDropout, p: float, share: float, key: int) -> torch.Tensor:
    weight = layer.weight.detach()
    kept = torch.from_numpy(mask(key, tuple(weight.shape), targeted_weight_dropout(p))).float()
    return torch.where(torch.from_numpy(targets(weight.numpy(), share)), kept * weight, weight)


@pytest.mark.parametrize("module", [nn.Linear(8, 6), nn.Conv2d(4, 6, 3)], ids=["linear", "conv"])
def test_the_weights_of_a_pass_are_those_of_numpy(module: nn.Module) -> None:
    layer = TargetedWeightDropout(module, 0.6, share=0.5)
    assert torch.equal(layer.weights(key=3)["weight"], expected_weight(layer, 0.6, 0.5, 3))


def test_the_gradient_passes_where_nothing_was_dropped() -> None:
    layer = TargetedWeightDropout(nn.Linear(8, 6), 0.6, share=0.5)
    layer(X, key=3).sum().backward()
    kept = (expected_weight(layer, 0.6, 0.5, 3) != 0).float()
    torch.testing.assert_close(layer.weight.grad, kept * X.sum(0))


def test_the_targets_follow_the_weights() -> None:
    layer = TargetedWeightDropout(nn.Linear(4, 1), 1.0, share=0.5)
    for weight, left in ([1.0, 2.0, 3.0, 4.0], [0, 0, 3, 4]), ([9.0, -8.0, 3.0, 4.0], [9, -8, 0, 0]):
        with torch.no_grad():
            layer.weight.copy_(torch.tensor([weight]))
        assert layer.weights()["weight"].tolist() == [left]


def test_evaluation_has_all_weights_or_no_target_and_mc_mode_draws() -> None:
    layer = TargetedWeightDropout(nn.Linear(8, 6), 0.5, share=0.5).eval()
    assert torch.equal(layer(X), layer.module(X))
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer.weights(key=3)["weight"], expected_weight(layer, 0.5, 0.5, 3))
    pruned = TargetedWeightDropout(layer.module, 0.5, share=0.5, prune_in_eval=True).eval()
    assert torch.equal(pruned.weights()["weight"], expected_weight(layer, 1.0, 0.5, 3))
    assert pruned.noise.acts_in_eval


def test_pruning_makes_evaluation_what_pruned_evaluation_was() -> None:
    layer = TargetedWeightDropout(nn.Linear(8, 6), 0.5, share=0.3, prune_in_eval=True).eval()
    before = layer(X)
    assert layer.prune_() == 6 * 2
    assert int((layer.weight == 0).sum()) == 12
    assert torch.equal(layer.module(X), before)


def test_both_schedules_move_with_the_stepper_and_are_saved() -> None:
    def make() -> TargetedWeightDropout:
        return TargetedWeightDropout(
            nn.Linear(8, 6), dropkit.linear_schedule(0.0, 0.8, 4), share=Ramp(0.5, 2)
        )

    layer, fresh = make(), make()
    assert torch.equal(layer(X), layer.module(X))
    Stepper(layer, 2)
    assert (layer.p, layer.share) == (0.4, 0.475)
    assert torch.equal(layer.weights(key=3)["weight"], expected_weight(layer, 0.4, 0.475, 3))
    fresh.load_state_dict(layer.state_dict())
    assert (fresh.p, fresh.share) == (0.4, 0.475)
    assert torch.equal(fresh(X, key=1), layer(X, key=1))


def test_the_share_alone_may_move() -> None:
    layer = TargetedWeightDropout(nn.Linear(8, 6), 0.8, share=Ramp(0.5, 2))
    Stepper(layer, 9)
    assert (layer.p, layer.share) == (0.8, 0.5)


def test_a_copy_is_the_same_layer() -> None:
    layer = TargetedWeightDropout(nn.Linear(8, 6), 0.5, share=0.5)
    assert torch.equal(copy.deepcopy(layer)(X, key=2), layer(X, key=2))
    assert repr(copy.deepcopy(layer)) == repr(layer)


def test_training_leaves_what_pruning_takes_without_use() -> None:
    """A copied input: one of the two weights suffices, and after training the other can be pruned."""
    torch.manual_seed(0)
    layer = TargetedWeightDropout(nn.Linear(2, 1, bias=False), 1.0, share=0.5)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.6, 0.5]]))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    x = torch.randn(64, 1).expand(64, 2)
    for step in range(100):
        optimizer.zero_grad()
        (layer(x, key=step) - 2 * x[:, :1]).square().mean().backward()
        optimizer.step()
    layer.eval().prune_()
    torch.testing.assert_close(layer(x), 2 * x[:, :1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("share", RATE.bad())
def test_a_share_out_of_range_is_refused(share: Any) -> None:
    with pytest.raises(DropkitError, match="share must be a number"):
        TargetedWeightDropout(nn.Linear(2, 2), 0.5, share=share)


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        TargetedWeightDropout(nn.Linear(2, 2), p)
