from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.reference import apply
from dropkit.methods.swapout import BRANCH, METHOD, SKIP, swapout
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import Swapout

X = torch.linspace(-3, 3, 60, dtype=torch.float64).reshape(3, 20)
F = torch.linspace(5, 7, 60, dtype=torch.float64).reshape(3, 20)


def _declare(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (1,) * len(shape), factor=1 - rate)


def _branch(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    y: torch.Tensor = layer(torch.zeros_like(x), x, key=key)
    return y


def _skip(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    y: torch.Tensor = layer(x, torch.zeros_like(x), key=key)
    return y


SUBJECTS = [
    layer_subject(make, name, call, Shapes((23, 23), ((66, 4), (4, 66))), _declare, waived=METHOD.waived)
    for make, name, call in (
        (lambda rate: Swapout(rate, 0.0), "branch of swapout on torch", _branch),
        (lambda rate: Swapout(0.0, rate), "skip of swapout on torch", _skip),
    )
]


def test_it_draws_as_numpy_does() -> None:
    skip, branch = swapout(0.4, 0.7)
    expected = apply(X.numpy(), skip, Key(9).fold(SKIP)) + apply(F.numpy(), branch, Key(9).fold(BRANCH))
    assert np.array_equal(Swapout(0.4, 0.7)(X, F, key=9).numpy(), expected)


def test_both_parts_get_the_gradient_of_what_they_kept() -> None:
    x, f = X.clone().requires_grad_(), F.clone().requires_grad_()
    y = Swapout(0.5)(x, f, key=9)
    a, b = torch.autograd.grad(y.sum(), (x, f))
    assert set(a.flatten().tolist()) == set(b.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(y, a * X + b * F)


def test_rates_of_0_are_the_sum_and_rates_of_1_leave_nothing() -> None:
    assert torch.equal(Swapout(0)(X, F), X + F)
    assert not Swapout(1)(X, F).any()


def test_evaluation_takes_the_expected_value_and_mc_draws() -> None:
    layer = Swapout(0.25, 0.5).eval()
    assert layer(X, F).numpy() == pytest.approx((0.5 * X + 0.75 * F).numpy(), rel=1e-15)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, F, key=3), Swapout(0.25, 0.5)(X, F, key=3))


def test_the_sum_of_half_precision_is_rounded_once() -> None:
    x, f = X.half(), F.half()
    y = Swapout(0.3, 0.3).eval()(x, f)
    assert y.dtype == torch.float16
    assert torch.equal(y, (0.7 * x.float() + 0.7 * f.float()).half())


def test_it_compiles_whole() -> None:
    layer = Swapout(0.4)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X, F), compiled(X, F))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DropkitError, match=r"p_skip must be a number in \[0, 1\], got 2; write"):
        Swapout(0.5, 2)
    with pytest.raises(DropkitError, match=r"branch has the shape of input, \(3, 20\), got \(20,\); project"):
        Swapout(0.5)(X, F[0])
