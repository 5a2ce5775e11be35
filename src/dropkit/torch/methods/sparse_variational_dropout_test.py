import copy
import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import dropkit
from dropkit import DropkitError
from dropkit.methods.sparse_variational_dropout import divergence, log_ratio
from dropkit.torch import SparseVariationalDropout, draws, parameter_groups, penalty

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
MODULES: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: nn.Linear(6, 3), (5, 6)),
    (lambda: nn.Linear(6, 3, bias=False), (2, 5, 6)),
    (lambda: nn.Conv2d(2, 4, 3, stride=2, groups=2), (2, 2, 7, 7)),
]
every_module = pytest.mark.parametrize(("make", "shape"), MODULES, ids=["linear", "no bias", "conv2d"])


def noisy(module: nn.Module, **arguments: Any) -> SparseVariationalDropout:
    layer = SparseVariationalDropout(module, 100, **arguments)
    with torch.no_grad():
        layer.log_variance.copy_(
            torch.linspace(-9, 3, layer.log_variance.numel()).view_as(layer.log_variance)
        )
    return layer


@every_module
def test_outputs_are_drawn_with_the_moments_of_noisy_weights(make: Any, shape: tuple[int, ...]) -> None:
    layer, x = noisy(make()).double(), torch.randn(shape, dtype=torch.float64)
    mean = layer.module(x)
    # The output is linear in the weight: its variance is that of each weight times its squared derivative.
    slopes: Any = torch.func.jacrev(
        lambda weight: torch.func.functional_call(layer.module, {"weight": weight}, (x,))
    )(layer.module.weight)
    variance = (slopes.square() * layer.log_variance.exp()).flatten(mean.dim()).sum(-1)
    z = draws.normal(mean, key=4)
    torch.testing.assert_close(layer(x, key=4), mean + variance.sqrt() * z)


@every_module
def test_evaluation_leaves_out_what_is_all_noise(make: Any, shape: tuple[int, ...]) -> None:
    layer, x = noisy(make()).eval(), torch.randn(shape)
    log_alpha = log_ratio(layer.log_variance.detach().numpy(), layer.module.weight.detach().numpy())
    assert 0 < (log_alpha > 3).sum() < log_alpha.size
    assert layer.sparsity == pytest.approx((log_alpha > 3).mean())
    y = layer(x)
    assert layer.prune_() == (log_alpha > 3).sum()
    assert torch.equal(layer.module(x), y)


def test_the_penalty_is_the_divergence_for_each_row() -> None:
    layer = noisy(nn.Linear(6, 3), weight=0.5)
    log_alpha = log_ratio(layer.log_variance.detach().numpy(), layer.module.weight.detach().numpy())
    assert penalty(layer).item() == pytest.approx(0.5 / 100 * divergence(log_alpha).sum(), rel=1e-5)
    layer.weight = 0.0
    assert penalty(layer).item() == 0
    groups = parameter_groups(layer, weight_decay=0.1)
    assert groups[1]["params"] == [layer.log_variance]


def test_gradients_come_to_weights_and_variances() -> None:
    layer = noisy(nn.Linear(6, 3)).double()
    x = X.double().requires_grad_()
    torch.autograd.gradcheck(lambda x: layer(x, key=2), (x,))
    layer(x, key=2).square().sum().backward()
    torch.autograd.backward(layer.penalty())
    assert all(bool(part.grad.abs().min() > 0) for part in layer.parameters() if part.grad is not None)
    assert layer.log_variance.grad is not None


def test_an_input_of_zeros_gives_finite_gradients() -> None:
    layer = noisy(nn.Linear(6, 3))
    layer(torch.zeros(2, 6)).sum().backward()
    assert layer.log_variance.grad is not None
    assert bool(layer.log_variance.grad.isfinite().all())


def test_seeds_keys_and_mc_mode() -> None:
    layer = noisy(nn.Linear(6, 3))
    torch.manual_seed(3)
    first, second = layer(X), layer(X)
    torch.manual_seed(3)
    assert torch.equal(layer(X), first)
    assert not torch.equal(first, second)
    expected = layer(X, key=1)
    with dropkit.mode(layer.eval(), "mc"):
        assert torch.equal(layer(X, key=1), expected)
    assert torch.equal(layer(X), layer(X))


def test_a_copy_and_a_loaded_layer_are_the_same() -> None:
    layer, fresh = noisy(nn.Linear(6, 3)), SparseVariationalDropout(nn.Linear(6, 3), 100)
    assert set(layer.state_dict()) == {"log_variance", "module.weight", "module.bias"}
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(X, key=1), layer(X, key=1))
    assert torch.equal(copy.deepcopy(layer)(X, key=1), layer(X, key=1))


def test_a_graph_draws_the_eager_outputs() -> None:
    layer = noisy(nn.Linear(6, 3))
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X, key=8), layer(X, key=8))


def test_half_types_come_back_as_they_are() -> None:
    layer = noisy(nn.Linear(6, 3)).bfloat16()
    assert layer(X.bfloat16()).dtype == layer.eval()(X.bfloat16()).dtype == torch.bfloat16


def test_autocast_gives_the_type_of_the_layer_in_every_mode() -> None:
    layer = noisy(nn.Linear(6, 3))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(X).dtype == layer.eval()(X).dtype == torch.bfloat16


def test_weights_of_inputs_that_do_not_matter_are_pruned_and_the_others_stay() -> None:
    """All sign patterns of six inputs, of which two matter: the others are exactly uncorrelated with y."""
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)))
    deviation = 0.3
    y = x[:, :2] @ torch.tensor([[2.0], [-1.5]]) + deviation * x.prod(1, keepdim=True)
    torch.manual_seed(0)
    layer = SparseVariationalDropout(nn.Linear(6, 1), len(x), start=-4.0)
    optimizer = torch.optim.Adam(parameter_groups(layer), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)
    for step in range(200):
        optimizer.zero_grad()
        # The divergence is weighed against a log-likelihood, so the error is in units of its variance.
        loss = (layer(x, key=step) - y).square().mean() / (2 * deviation**2)
        (loss + penalty(layer)).backward()
        optimizer.step()
        schedule.step()
    assert layer.pruned.tolist() == [[False, False, True, True, True, True]]
    kept = layer.eval()(torch.eye(6)) - layer.module.bias
    # The standard error of a weight is deviation / sqrt(64).
    assert (kept.flatten() - torch.tensor([2.0, -1.5, 0, 0, 0, 0])).abs().max() < deviation / 8


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (
            nn.LSTM(2, 2),
            {"rows": 10},
            "module is one of nn.Linear, nn.Conv1d.*got 'LSTM'; wrap the layers inside",
        ),
        (nn.Linear(2, 2), {"rows": 0}, "rows must be a whole number of at least 1"),
        (nn.Linear(2, 2), {"rows": 10, "start": float("nan")}, "start must be a number"),
        (nn.Linear(2, 2), {"rows": 10, "threshold": "3"}, "threshold must be a number"),
        (nn.Linear(2, 2), {"rows": 10, "weight": -0.1}, "weight must be a number"),
    ],
)
def test_what_is_wrong_is_said_at_construction(module: nn.Module, arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        SparseVariationalDropout(module, **arguments)


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_weight_that_follows_from_others_is_refused(norm: Any) -> None:
    with pytest.raises(DropkitError, match="module has its weight as a parameter"):
        SparseVariationalDropout(norm(nn.Linear(4, 4)), rows=10)
