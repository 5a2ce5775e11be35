import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.targeted_unit_dropout import targeted
from dropkit.torch import TargetedUnitDropout

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, 6, dtype=torch.float64, generator=GENERATOR)


def linear(units: int = 40) -> nn.Linear:
    layer = nn.Linear(6, units).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(units, 6, generator=GENERATOR))
    return layer


def fallen(layer: Any, p: float, share: float, key: int) -> np.ndarray:
    norms = np.linalg.norm(layer.weight.detach().flatten(1).numpy(), axis=1)
    return np.asarray(draws(key, norms.shape).below(p * targeted(norms, np.sort(norms), share)))


def test_the_units_that_numpy_draws_are_0_with_their_bias_and_the_rest_untouched() -> None:
    layer = linear()
    gone = fallen(layer, 0.6, 0.5, 3)
    assert 0 < gone.sum() < 20
    y = TargetedUnitDropout(layer, 0.6, 0.5)(X, key=3)
    assert np.array_equal(y.detach().numpy(), np.where(gone, 0, layer(X).detach().numpy()))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Conv1d(2, 9, 3), (2, 2, 5)), (nn.Conv2d(2, 9, 3), (2, 2, 5, 5)), (nn.Conv2d(2, 9, 3), (2, 5, 5))],
)
def test_the_units_of_a_convolution_are_its_channels(layer: Any, shape: tuple[int, ...]) -> None:
    layer, x = layer.double(), torch.randn(shape, dtype=torch.float64, generator=GENERATOR)
    rank = layer.weight.ndim - 2
    gone = fallen(layer, 0.9, 0.7, 1).reshape(-1, *(1,) * rank)
    y = TargetedUnitDropout(layer, 0.9, 0.7)(x, key=1)
    assert np.array_equal(y.detach().numpy(), np.where(gone, 0, layer(x).detach().numpy()))


def test_at_rate_1_training_is_what_pruning_leaves() -> None:
    layer = linear()
    dropped = TargetedUnitDropout(layer, 1.0, 0.5)
    pruned = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in pruned.parameters():
            parameter[dropped.targets] = 0
    assert int(dropped.targets.sum()) == 20
    assert torch.equal(dropped(X), pruned(X))


def test_dropped_units_get_no_gradient_and_kept_ones_theirs() -> None:
    layer = linear()
    gone = torch.from_numpy(fallen(layer, 0.6, 0.5, 3))
    (grad,) = torch.autograd.grad(TargetedUnitDropout(layer, 0.6)(X, key=3).sum(), layer.weight)
    assert torch.allclose(grad, torch.where(gone[:, None], 0.0, X.sum(0)), rtol=1e-14)
    assert not grad[gone].any()


def test_the_targets_follow_the_weights() -> None:
    layer = linear(4)
    dropped = TargetedUnitDropout(layer, 0.5, 0.25)
    for unit in (2, 0):
        with torch.no_grad():
            layer.weight[unit] = 1e-3 / (1 + unit)
            layer.weight[2 - unit] = 9.0
        assert dropped.targets.nonzero().flatten().tolist() == [unit]


def test_training_with_targets_makes_pruning_harmless() -> None:
    """Two units that could share the work of one: the target learns that it cannot be relied upon."""
    layer = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.6], [0.4]]))
    dropped, x = TargetedUnitDropout(layer, 0.5, 0.5), torch.ones(1, 1, dtype=torch.float64)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for step in range(400):
        optimizer.zero_grad()
        loss = (dropped(x, key=dropkit.Key(0).fold("step", step)).sum() - 1).square()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        pruned = layer(x)[~dropped.targets[None]].sum()
    assert abs(float(pruned) - 1) < 1e-6


def test_evaluation_and_rate_0_are_the_layer_and_mc_draws() -> None:
    layer = linear()
    dropped = TargetedUnitDropout(layer, 0.5).eval()
    assert torch.equal(dropped(X), layer(X))
    assert torch.equal(TargetedUnitDropout(layer, 0.0)(X), layer(X))
    with dropkit.mode(dropped, "mc"):
        assert torch.equal(dropped(X, key=1), TargetedUnitDropout(layer, 0.5)(X, key=1))


def test_copies_keep_the_weights_under_sensible_names() -> None:
    dropped = TargetedUnitDropout(linear(), 0.5)
    assert list(dropped.state_dict()) == ["layer.weight", "layer.bias"]
    assert torch.equal(copy.deepcopy(dropped)(X, key=2), dropped(X, key=2))


def test_it_compiles_whole() -> None:
    dropped = TargetedUnitDropout(linear(), 0.5)
    compiled: Any = torch.compile(dropped, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=4), dropped(X, key=4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.ReLU(),), r"layer is a torch.nn.Linear, Conv1d, Conv2d or Conv3d, got 'ReLU'; wrap"),
        ((nn.Linear(1, 1), 1.5), r"p must be a number in \[0, 1\], got 1.5; write"),
        ((nn.Linear(1, 1), 0.5, -0.5), r"share must be a number in \[0, 1\], got -0.5; write the share"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        TargetedUnitDropout(*arguments)
