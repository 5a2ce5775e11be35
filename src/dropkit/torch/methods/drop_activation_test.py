from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import apply
from dropkit.methods.drop_activation import METHOD, drop_activation
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DropActivation

X = torch.linspace(-3, 3, 60, dtype=torch.float64).reshape(3, 20)


def _declare(rate: float, shape: tuple[int, ...]) -> Declared:
    """Negative inputs alone: they pass where the activation is dropped, with probability 1 - rate here."""
    return Declared(rate, shape, (1,) * len(shape), factor=1 - rate)


def _negative(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    sign = torch.where(x < 0, -1.0, 1.0).to(x.dtype)
    y: torch.Tensor = -layer(-x * sign, key=key) * sign
    return y


SUBJECTS = [
    layer_subject(
        lambda rate: DropActivation(1 - rate),
        "drop_activation on torch",
        _negative,
        Shapes((23, 23), ((66, 4), (4, 66))),
        _declare,
        waived={
            "mean": METHOD.waived["mean"],
            "untouched": "rate 1 here is p = 0, where nothing is drawn and mode mc has nothing to force",
            "nonfinite": "relu(nan) is nan: what the activation does not cut is not replaced",
        },
    )
]


def test_it_draws_as_numpy_does() -> None:
    expected = apply(X.numpy().clip(0), drop_activation(0.4), 9, fill=X.numpy())
    assert np.array_equal(DropActivation(0.4)(X, key=9).numpy(), expected)


def test_the_gradient_is_that_of_the_chosen_function() -> None:
    x = X.clone().requires_grad_()
    y = DropActivation(0.4)(x, key=9)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, (y == x).double())


def test_a_rate_of_0_is_relu_and_a_rate_of_1_the_identity() -> None:
    assert torch.equal(DropActivation(0)(X), X.relu())
    assert torch.equal(DropActivation(1)(X), X)


def test_evaluation_is_a_leaky_relu_and_mc_draws() -> None:
    layer = DropActivation(0.2).eval()
    assert layer(X).numpy() == pytest.approx(torch.nn.functional.leaky_relu(X, 0.2).numpy(), rel=1e-15)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), DropActivation(0.2)(X, key=3))


def test_half_precision_is_computed_in_float32() -> None:
    x = X.to(torch.bfloat16)
    y = DropActivation(0.3).eval()(x)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, torch.nn.functional.leaky_relu(x.float(), 0.3).to(torch.bfloat16))


def test_it_compiles_whole() -> None:
    layer = DropActivation(0.4)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=4), layer(X, key=4))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "0.5"])
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\], got .*; write"):
        DropActivation(p)


def test_whole_numbers_are_refused() -> None:
    with pytest.raises(DropkitError, match="input has a real floating type"):
        DropActivation(0.5)(torch.arange(3))
