import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import draws
from dropkit.methods.spectral_dropout import along, basis, pruned
from dropkit.torch import SpectralDropout

KEY = Key(17)
SHAPE = (3, 8, 4, 6)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def law(p: float, threshold: float, dims: tuple[int, ...], weak: str = "pruned") -> torch.Tensor:
    """What is left by the law on NumPy."""
    y = X.numpy()
    for dim in dims:
        y = along(y, basis(SHAPE[dim], np), dim, np)
    y = pruned(y, draws(KEY, SHAPE).below(p), threshold, p, weak, np)
    for dim in dims:
        y = along(y, basis(SHAPE[dim], np).T, dim, np)
    return torch.from_numpy(y)


@pytest.mark.parametrize("dims", [(1,), (2, 3), (1, 2, 3)], ids=str)
@pytest.mark.parametrize(("p", "threshold"), [(0.5, 0.0), (0.3, 0.4), (0.0, 0.4), (1.0, 0.4)])
@pytest.mark.parametrize("weak", ["pruned", "at_risk"])
def test_what_is_left_is_that_of_the_law(
    dims: tuple[int, ...], p: float, threshold: float, weak: Any
) -> None:
    y = SpectralDropout(p, threshold, dims, weak)(X, key=KEY)
    torch.testing.assert_close(y, law(p, threshold, dims, weak), rtol=1e-12, atol=1e-12)


def test_the_gradient_is_the_same_projection() -> None:
    layer = SpectralDropout(0.4, 0.3)
    torch.autograd.gradcheck(lambda x: layer(x, key=KEY), X[:1, :, :2, :2].clone().requires_grad_())


def test_noise_below_the_threshold_goes_and_what_is_above_stays() -> None:
    """A known signal: one strong cosine and a weak one."""
    matrix = basis(8, torch)
    strong, faint = 5 * matrix[2], 0.1 * matrix[6]
    y = SpectralDropout(0.0, 0.5)((strong + faint)[None])
    torch.testing.assert_close(y[0], strong)


def test_rates_of_zero_and_one() -> None:
    assert SpectralDropout(0.0, 0.0)(X) is X
    assert SpectralDropout(0.0, 0.5, weak="at_risk")(X) is X
    assert (SpectralDropout(1.0, 0.0)(X) == 0).all()


def test_evaluation_returns_the_input_itself_and_mc_draws() -> None:
    layer = SpectralDropout(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), SpectralDropout(0.5)(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        assert not torch.equal(layer(X), y)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_half_is_computed_in_float32_and_graphs_draw_too() -> None:
    layer, x = SpectralDropout(0.5, 0.0), X.half()
    assert torch.equal(layer(x, key=KEY), layer(x.float(), key=KEY).half())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_drop_alike_and_the_input_stays() -> None:
    layer, before = SpectralDropout(0.3, 0.2, (2, 3), "at_risk"), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)
    assert layer.state_dict() == {}


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        SpectralDropout(p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SpectralDropout(0.5, -0.1), r"threshold must be a number in \[0, inf\)"),
        (lambda: SpectralDropout(0.5, float("inf")), "threshold must be a number in"),
        (lambda: SpectralDropout(dims=0), r"dims\[0\] must be a whole number of at least 1"),
        (lambda: SpectralDropout(dims=(2, 2)), "dims names different axes"),
        (lambda: SpectralDropout(dims=()), "dims names different axes"),
        (lambda: SpectralDropout(weak="prune"), "weak must be one of .*did you mean 'pruned'"),  # type: ignore[arg-type]  # the point
        (lambda: SpectralDropout(dims=4)(X), r"input has the axes \(4,\)"),
        (lambda: SpectralDropout()(X.long()), "input has a real floating type"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (2, 3, 0)], ids=str)
def test_empty_tensors_pass(shape: tuple[int, ...]) -> None:
    assert SpectralDropout()(torch.ones(shape)).shape == shape
