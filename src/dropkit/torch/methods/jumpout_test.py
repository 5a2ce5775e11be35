from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.noise import Gaussian
from dropkit.core.reference import draws
from dropkit.methods.jumpout import RATE, drawn_rate, factor, spread_rate
from dropkit.torch import Jumpout

X = torch.randn(8, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).relu()


def rate(key: int, sigma: float, low: float, high: float) -> np.ndarray:
    words = draws(Key(key).fold(RATE), (1,))
    z = Gaussian().standard(np, words.u, words.second)
    active = np.array(np.mean(X.numpy() > 0))
    return np.asarray(spread_rate(drawn_rate(z, sigma, low, high), active, high))


@pytest.mark.parametrize("key", [3, 4, 5])
def test_it_draws_rate_and_mask_as_numpy_does(key: int) -> None:
    p = rate(key, 0.2, 0.05, 0.6)
    expected = X.numpy() * factor(~draws(key, (8, 50)).below(p), p)
    assert Jumpout(0.2, 0.05)(X, key=key).numpy() == pytest.approx(expected, rel=1e-14)


def test_each_call_has_a_rate_of_its_own() -> None:
    scales = {float(rate(key, 0.2, 0.0, 0.9)[0]) for key in range(20)}
    assert len(scales) == 20


def test_without_active_units_nothing_breaks() -> None:
    assert not Jumpout(0.2)(torch.zeros(3, 4), key=1).any()
    assert Jumpout(0.2)(torch.zeros(0, 4)).shape == (0, 4)


def test_the_gradient_is_the_factor_and_a_fallen_infinity_is_gone() -> None:
    x = X.clone().requires_grad_()
    y = Jumpout(0.2, 0.3)(x, key=3)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad * X, y)
    wild = torch.full((1000,), float("inf"))
    assert set(Jumpout(0.0, 0.5)(wild, key=1).tolist()) == {0.0, float("inf")}


def test_evaluation_and_a_rate_of_0_return_the_very_input_and_mc_draws() -> None:
    layer = Jumpout(0.2).eval()
    assert layer(X) is X
    assert Jumpout(0.0, 0.0)(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), Jumpout(0.2)(X, key=1))


def test_half_precision_is_computed_in_float32() -> None:
    x = X.bfloat16()
    y = Jumpout(0.2, 0.1)(x, key=3)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, Jumpout(0.2, 0.1)(x.float(), key=3).bfloat16())


def test_it_compiles_whole() -> None:
    compiled: Any = torch.compile(Jumpout(0.2, 0.3), backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1,), r"sigma must be a number in \[0, inf\), got -0.1; give"),
        ((0.1, 1.0), r"low must be a number in \[0, 1\), got 1.0; give"),
        ((0.1, 0.2, 1.0), r"high must be a number in \[0, 1\), got 1.0; give"),
        ((0.1, 0.5, 0.4), r"low is at most high, 0.4, got 0.5; give"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Jumpout(*arguments)
