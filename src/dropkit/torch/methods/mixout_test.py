import copy
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.core.reference import apply
from dropkit.methods.mixout import mixout
from dropkit.torch import Mixout, unwrap_weights, wrap_weights

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def moved(layer: Mixout) -> Mixout:
    """The layer after some fine-tuning."""
    with torch.no_grad():
        layer.module.weight += torch.linspace(-1, 1, layer.module.weight.numel()).view_as(layer.module.weight)
    return layer


@pytest.mark.parametrize("per", ["neuron", "weight"])
@pytest.mark.parametrize("p", [0.0, 0.4, 0.9, 1.0])
def test_the_mixture_is_that_of_numpy(p: float, per: Any) -> None:
    layer = moved(Mixout(nn.Linear(6, 3), p, per=per))
    mixed = apply(layer.weight.detach().numpy(), mixout(p, per), key=7, fill=layer.pretrained_weight.numpy())
    expected = nn.functional.linear(X, torch.from_numpy(mixed), layer.bias)
    torch.testing.assert_close(layer(X, key=7), expected)


def test_convolutions_mix_whole_input_channels() -> None:
    layer = moved(Mixout(nn.Conv2d(8, 4, 3), 0.5))
    mixed, own = layer.weights(key=7)["weight"], layer.pretrained_weight
    replaced = (mixed == own).flatten(2).all(2)
    assert torch.equal(replaced, replaced[:1].expand(4, 8))
    assert 0 < int(replaced[0].sum()) < 8


def test_at_the_pretrained_weights_nothing_changes() -> None:
    layer = Mixout(nn.Linear(6, 3), 0.5)
    torch.testing.assert_close(layer(X, key=1), layer.module(X))


def test_the_gradient_is_that_of_the_formula() -> None:
    layer = moved(Mixout(nn.Linear(6, 3), 0.4))
    layer(X, key=7).sum().backward()
    m = torch.from_numpy(dropkit.mask(7, (3, 6), mixout(0.4))).float()
    torch.testing.assert_close(layer.weight.grad, m * X.sum(0))
    assert layer.bias.grad is not None


def test_evaluation_has_the_fine_tuned_weights_and_mc_mode_mixes() -> None:
    layer = moved(Mixout(nn.Linear(6, 3), 0.5)).eval()
    assert torch.equal(layer(X), layer.module(X))
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))


def test_the_pretrained_weights_are_saved_and_copied_with_the_layer() -> None:
    layer = moved(Mixout(nn.Linear(6, 3), 0.5))
    fresh = Mixout(nn.Linear(6, 3), 0.5)
    fresh.load_state_dict(layer.state_dict())
    for other in (fresh, copy.deepcopy(layer)):
        assert torch.equal(other(X, key=2), layer(X, key=2))
    assert "pretrained_weight" in layer.state_dict()
    assert not layer.pretrained_weight.requires_grad


def test_pretrained_weights_can_be_given() -> None:
    layer = Mixout(nn.Linear(6, 3), 1.0, pretrained={"weight": torch.zeros(3, 6, dtype=torch.float64)})
    assert torch.equal(layer(X), layer.bias.expand(5, 3))
    assert layer.pretrained_weight.dtype == torch.float32


def test_a_model_is_wrapped_but_for_its_head() -> None:
    model = nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(6, 6), nn.Embedding(4, 6)), "head": nn.Linear(6, 2)}
    )
    kinds = (nn.Linear, nn.Embedding)
    assert wrap_weights(model, lambda layer: Mixout(layer, 0.7), kinds, skip=["head"]) == 2
    assert unwrap_weights(model) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per": "row"}, "per must be one of"),
        ({"names": ["weights"]}, "did you mean 'weight'"),
        ({"names": ["weight", "bias"]}, "bias has at least two axes where per='neuron'"),
        (
            {"pretrained": {"weight": torch.ones(2, 2)}},
            r"pretrained\['weight'\] is a tensor of shape \(3, 6\)",
        ),
        ({"pretrained": {}}, r"pretrained\['weight'\] is a tensor of shape \(3, 6\), got None"),
    ],
)
def test_what_is_wrong_is_said_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Mixout(nn.Linear(6, 3), 0.5, **arguments)


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        Mixout(nn.Linear(2, 2), p)
