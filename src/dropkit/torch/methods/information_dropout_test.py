import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import ndtr
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import normal
from dropkit.methods import get
from dropkit.methods import information_dropout as law
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import InformationDropout, PenaltyHook, penalty, under_key


class Level(nn.Module):
    """Noise of the same strength everywhere."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit))

    def forward(self, x: Tensor) -> Tensor:
        return self.logit.expand(x.shape)


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    """The rate is no more than a name here: it is the strength."""

    def below(m: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.asarray(ndtr(np.log(np.maximum(m, 0)) / rate))

    return Declared(rate, shape, (1,) * len(shape), law=below)


def make(rate: float) -> Any:
    layer = InformationDropout(nn.Identity(), Level(1e3), 1.0, max_alpha=max(rate, 0.01))
    return layer.requires_grad_(False)


SUBJECTS = [
    layer_subject(
        make,
        "a strength that is given",
        shapes=Shapes((23, 23), ((66, 4), (4, 66))),
        declare=declare,
        waived=dict(get("information_dropout").waived),
    )
]


def backward(loss: Any) -> None:
    loss.backward()


def dense(**arguments: Any) -> Any:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    return InformationDropout(layer, nn.Linear(4, 3), **{"beta": 0.5, **arguments})


PRIORS = pytest.mark.parametrize("prior", ["log-uniform", "log-normal"])


def test_torch_equals_numpy_under_the_same_key() -> None:
    layer, x = dense().double(), torch.randn(5, 4).double()
    with torch.no_grad():
        gate = layer.noise(x).sigmoid().numpy()
        m = law.factor(np, law.strength(gate, 0.7), normal(3, (5, 3)))
        assert np.allclose(layer(x, key=3).numpy(), layer.layer(x).numpy() * m, rtol=1e-12, atol=0)
        assert np.allclose(layer.alpha(x).numpy(), law.strength(gate, 0.7), rtol=1e-14, atol=0)


@PRIORS
def test_the_penalty_is_the_mean_over_rows_of_the_sum_of_the_divergences(prior: Any) -> None:
    layer, x = dense(prior=prior).double(), torch.randn(5, 4).double()
    layer(x, key=3)
    with torch.no_grad():
        alpha, output = layer.alpha(x).numpy(), layer.layer(x).numpy()
        each = law.log_uniform(np, alpha, 0.7)
        if prior == "log-normal":
            layer.mean.fill_(0.2)
            layer.log_deviation.fill_(-0.3)
            layer(x, key=3)
            each = law.log_normal(np, np.log(np.maximum(output, 1e-4)), alpha, 0.2, np.exp(-0.3))
        assert float(layer.penalty()) == pytest.approx(0.5 * each.sum() / 5, rel=1e-12)


def test_evaluation_is_the_layer_itself_and_mode_mc_draws_in_it_and_the_key_of_a_model_holds() -> None:
    layer, x = dense().eval(), torch.randn(5, 4)
    model = nn.Sequential(layer)
    assert torch.equal(model(x), layer.layer(x))
    with dropkit.mode(model, "mc"):
        assert not torch.equal(model(x), model(x))
    with under_key(model.train(), 3):
        assert torch.equal(model(x), model(x))


def test_an_output_without_use_becomes_as_noisy_as_the_cap_allows() -> None:
    layer = InformationDropout(nn.Identity(), Level(-2.0), 1.0)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5)
    for _ in range(60):
        layer(torch.ones(8, 1))
        optimizer.zero_grad()
        backward(penalty(layer))
        optimizer.step()
    assert float(layer.alpha(torch.ones(1)).detach()) > 0.69
    assert float(penalty(layer).detach()) < 0.02


@pytest.mark.parametrize("beta", [0.03, 0.3])
def test_the_strength_goes_where_the_error_and_the_price_balance(beta: float) -> None:
    z, x = normal(6, (1000, 1)), torch.ones(1000, 1).double()

    def loss(alpha: float) -> float:
        error = (law.factor(np, alpha, z) - 1) ** 2
        return float(error.mean() + beta * law.log_uniform(np, np.array(alpha), 0.7))

    best = minimize_scalar(loss, bounds=(0.002, 0.699), method="bounded", options={"xatol": 1e-10}).x
    layer = InformationDropout(nn.Identity(), Level(0.0), beta).double()
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        found = (layer(x, key=6) - 1).square().mean() + penalty(layer)
        found.backward()
        return found  # type: ignore[no-any-return]  # a module's call is untyped

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # it is untyped
    assert float(layer.alpha(x[:1]).detach()) == pytest.approx(best, rel=1e-3)


@PRIORS
def test_the_penalty_reaches_both_layers_where_it_depends_on_them(prior: Any) -> None:
    layer = dense(prior=prior)
    layer(torch.randn(5, 4))
    backward(penalty(layer))
    assert layer.noise.weight.grad.abs().sum() > 0
    assert (layer.layer[0].weight.grad is None) == (prior == "log-uniform")


def test_before_the_first_batch_the_penalty_is_zero_and_has_a_gradient() -> None:
    term = penalty(dense())
    assert float(term.detach()) == 0
    backward(term)


def test_a_batch_without_gradients_is_refused_where_they_are_wanted() -> None:
    layer, x = dense(), torch.randn(5, 4, requires_grad=True)
    checkpoint(layer, x, use_reentrant=True)
    with pytest.raises(DropkitError, match="penalty is that of a batch with gradients"):
        penalty(layer)
    with torch.no_grad():
        assert penalty(layer) > 0


def test_checkpointing_without_reentrance_gives_the_gradients_of_none() -> None:
    x, slopes = torch.randn(5, 4), []
    runs: list[Callable[[Any, Tensor], Any]] = [
        lambda layer, x: layer(x, key=3),
        lambda layer, x: checkpoint(layer, x, key=3, use_reentrant=False),
    ]
    for run in runs:
        layer = dense()
        backward(run(layer, x).sum() + penalty(layer))
        slopes.append(layer.noise.weight.grad)
    assert torch.allclose(*slopes)


def test_the_hook_says_that_it_would_come_too_late() -> None:
    with pytest.raises(
        DropkitError, match=r"follow from parameters alone, got 'InformationDropout'; write loss"
    ):
        PenaltyHook(nn.Sequential(dense()))


@PRIORS
def test_it_survives_copies_pickles_and_state_dicts_also_after_a_batch(prior: Any) -> None:
    layer, other, x = dense(prior=prior), dense(prior=prior), torch.randn(5, 4)
    layer(x).sum().backward()
    other.load_state_dict(layer.state_dict())
    assert not any("divergence" in name for name in layer.state_dict())
    for same in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), other):
        assert torch.equal(same(x, key=1), layer(x, key=1))


def test_half_precision_and_autocast_keep_their_types() -> None:
    layer = dense(prior="log-normal")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(torch.randn(5, 4))
    assert y.dtype == torch.bfloat16
    (y.float().sum() + penalty(layer)).backward()
    assert torch.isfinite(layer.noise.weight.grad).all()
    assert layer.penalty().dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dense(beta=-1.0), "beta must be a number in"),
        (lambda: dense(prior="uniform"), "prior must be one of 'log-uniform', 'log-normal', got 'uniform'"),
        (lambda: dense(max_alpha=0.001), "max_alpha must be a number in"),
        (lambda: InformationDropout(nn.ReLU(), None, 1.0), "noise must be a Module"),  # type: ignore[arg-type]  # that is the test
        (
            lambda: InformationDropout(nn.ReLU(), nn.Linear(4, 3), 1.0)(torch.ones(2, 4)),
            r"noise has the shape of the layer's output, \(2, 4\), got \(2, 3\)",
        ),
    ],
)
def test_what_is_wrong_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def test_a_graph_draws_as_eager_mode_does_and_has_the_same_penalty() -> None:
    layer, x = dense(), torch.randn(5, 4)
    y = layer(x, key=5)
    expected = float(penalty(layer).detach())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(x, key=5), y)
    assert float(penalty(layer).detach()) == pytest.approx(expected)
    backward(penalty(layer))
    assert layer.noise.weight.grad.abs().sum() > 0
