import copy
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import special
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import unit
from dropkit.methods.structured_bayesian_pruning import Special, divergence, mean, sample, signal_to_noise
from dropkit.torch import StructuredBayesianPruning, parameter_groups, penalty

SCIPY = Special(np, special.log_ndtr, special.ndtri)
X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def units(size: Any = 8, **arguments: Any) -> StructuredBayesianPruning:
    layer = StructuredBayesianPruning(size, 100, **arguments)
    with torch.no_grad():
        layer.mu.copy_(torch.linspace(-4, 1, layer.mu.numel()).view_as(layer.mu))
        layer.log_sigma.copy_(torch.linspace(1, -2, layer.mu.numel()).view_as(layer.mu))
    return layer


def parts(layer: StructuredBayesianPruning) -> tuple[Any, Any]:
    return layer.mu.detach().double().numpy(), layer.log_sigma.detach().double().exp().numpy()


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize(("size", "shape"), [(8, (5, 8)), (8, (5, 3, 8)), ((4, 1, 1), (5, 4, 3, 3))])
def test_the_noise_is_that_of_numpy(size: Any, shape: tuple[int, ...], per: Any) -> None:
    layer, x = units(size, per=per), torch.randn(shape)
    mu, sigma = parts(layer)
    lead = shape[:1] if per == "sample" else ()
    u = unit(7, (*lead, *(1,) * (len(shape) - len(lead) - mu.ndim), *mu.shape))
    theta = torch.from_numpy(sample(mu, sigma, u, SCIPY)).float()
    torch.testing.assert_close(layer(x, key=7), x * theta)


def test_evaluation_has_the_mean_and_leaves_out_the_noisiest() -> None:
    layer = units().eval()
    mu, sigma = parts(layer)
    ratio = signal_to_noise(mu, sigma, SCIPY)
    assert 0 < (ratio < 1).sum() < 8
    theta = np.where(ratio < 1, 0, mean(mu, sigma, SCIPY))
    torch.testing.assert_close(layer(X), X * torch.from_numpy(theta).float())
    assert layer.pruned.tolist() == (ratio < 1).tolist()
    assert layer.sparsity == pytest.approx((ratio < 1).mean())
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))


def test_what_a_pruned_unit_holds_back_is_gone() -> None:
    layer = units().eval()
    wild = torch.where(layer.pruned, float("nan"), X)
    assert bool(layer(wild).isfinite().all())


def test_the_penalty_is_the_divergence_for_each_row() -> None:
    layer = units(weight=0.5)
    expected = 0.5 / 100 * divergence(*parts(layer), SCIPY).sum()
    assert penalty(layer).item() == pytest.approx(expected, rel=1e-6)
    assert parameter_groups(layer, weight_decay=0.1)[1]["params"] == [layer.mu, layer.log_sigma]


def test_gradients_are_those_of_the_formulas() -> None:
    layer = units().double()
    x = X.double().requires_grad_()
    torch.autograd.gradcheck(lambda x: layer(x, key=2), (x,))

    def run(mu: torch.Tensor, log_sigma: torch.Tensor) -> Any:
        given = {"mu": mu, "log_sigma": log_sigma}
        drawn = torch.func.functional_call(layer, given, (X.double(),), {"key": 2})
        layer_penalty = divergence(mu, log_sigma.exp(), _torch())
        return drawn, layer_penalty

    torch.autograd.gradcheck(run, (layer.mu, layer.log_sigma))


def _torch() -> Special:
    return Special(torch, torch.special.log_ndtr, torch.special.ndtri)


@pytest.mark.parametrize("mu", [-25.0, 0.0, 9.0])
@pytest.mark.parametrize("log_sigma", [-25.0, -5.0, 9.0])
def test_gradients_stay_finite_however_far_the_parameters_went(mu: float, log_sigma: float) -> None:
    layer = StructuredBayesianPruning(1, 10)
    with torch.no_grad():
        layer.mu.fill_(mu)
        layer.log_sigma.fill_(log_sigma)
    (layer(torch.ones(2, 1)).sum() + layer.penalty()).backward()
    for part in layer.parameters():
        assert part.grad is not None
        assert bool(part.grad.isfinite().all())


def test_a_copy_and_a_loaded_layer_are_the_same() -> None:
    layer, fresh = units(), StructuredBayesianPruning(8, 100)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(X, key=1), layer(X, key=1))
    assert torch.equal(copy.deepcopy(layer)(X, key=1), layer(X, key=1))


def test_half_types_come_back_as_they_are() -> None:
    layer = units()
    half = layer(X.bfloat16(), key=3)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), layer(X, key=3), rtol=2e-2, atol=1e-2)


def test_a_graph_draws_the_eager_noise() -> None:
    layer = units()
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X, key=8), layer(X, key=8))


def test_units_that_do_not_matter_are_pruned_and_the_others_stay() -> None:
    """All sign patterns of six inputs, of which two matter: the others are exactly uncorrelated with y."""
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)))
    y = x[:, :2] @ torch.tensor([[2.0], [-1.5]])
    torch.manual_seed(0)
    layer = StructuredBayesianPruning(6, len(x), start=-2.0)
    model = nn.Sequential(layer, nn.Linear(6, 1))
    optimizer = torch.optim.Adam(parameter_groups(model), lr=0.1)
    for step in range(300):
        optimizer.zero_grad()
        with dropkit.torch.under_key(model, step):
            loss = (model(x) - y).square().mean() / (2 * 0.3**2)
        (loss + penalty(model)).backward()
        optimizer.step()
    assert layer.pruned.tolist() == [False, False, True, True, True, True]
    assert math.isclose(layer.sparsity, 4 / 6, rel_tol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0, "rows": 10}, r"size\[0\] must be a whole number"),
        ({"size": 4, "rows": 0}, "rows must be a whole number"),
        ({"size": 4, "rows": 10, "start": 6.0}, r"start must be a number in \[-20, 5\]"),
        ({"size": 4, "rows": 10, "threshold": -1.0}, "threshold must be a number"),
        ({"size": 4, "rows": 10, "weight": -1.0}, "weight must be a number"),
        ({"size": 4, "rows": 10, "per": "unit"}, "per must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        StructuredBayesianPruning(**arguments)


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"input ends in axes that units of shape \(8,\) fit"):
        StructuredBayesianPruning(8, 10)(torch.ones(5, 7))
