import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import draws
from dropkit.methods.shakeout import factor, seen
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import Shakeout

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, 6, dtype=torch.float64, generator=GENERATOR)


def linear() -> nn.Linear:
    layer = nn.Linear(6, 4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-0.9, 1.0, 24).reshape(4, 6))
    return layer


def single() -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(layer.weight)
    return layer.requires_grad_(False)


def _declare(rate: float, shape: tuple[int, ...]) -> Declared:
    scale = 1 / (1 - rate) if rate < 1 else 1.0
    return Declared(rate, shape, (1,) * len(shape), scale=scale)


def _entries(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    y: torch.Tensor = layer(x[..., None], key=key)[..., 0]
    return y


SUBJECTS = [
    layer_subject(
        lambda rate: Shakeout(single(), rate, strength=0.0),
        "shakeout without strength on torch",
        _entries,
        Shapes((23, 23), ((66, 4), (4, 66))),
        _declare,
        dtypes=("float64",),
    )
]


def test_each_sample_sees_the_weights_that_numpy_draws() -> None:
    layer = linear()
    w = layer.weight.detach().numpy()
    r = factor(~draws(3, (5, 6)).below(0.4), 0.4)
    expected = [seen(w, np.sign(w), row, 0.2) @ x for row, x in zip(r, X.numpy(), strict=True)]
    y = Shakeout(layer, 0.4, strength=0.2)(X, key=3) - layer.bias
    assert y.detach().numpy() == pytest.approx(np.array(expected), rel=1e-12)


def test_the_gradients_are_those_of_the_smoothed_sign() -> None:
    layer, x = linear(), X.clone().requires_grad_()
    y = Shakeout(layer, 0.4, strength=0.2, smooth=2.0)(x, key=3)
    grad_x, grad_w = torch.autograd.grad(y.sum(), (x, layer.weight))
    w = layer.weight.detach()
    r = torch.from_numpy(factor(~draws(3, (5, 6)).below(0.4), 0.4))
    slope = 2.0 * (1 - torch.tanh(2.0 * w) ** 2)
    assert torch.allclose(grad_x, r * w.sum(0) + 0.2 * (r - 1) * w.sign().sum(0))
    assert torch.allclose(grad_w, (r * X).sum(0) + slope * (0.2 * (r - 1) * X).sum(0))


def test_a_convolution_draws_for_each_entry_of_its_input() -> None:
    conv = nn.Conv2d(2, 3, 3, padding=1).double()
    x = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=GENERATOR)
    r = torch.from_numpy(factor(~draws(8, (2, 2, 5, 5)).below(0.3), 0.3))
    expected = conv(r * x) + nn.functional.conv2d(0.1 * (r - 1) * x, conv.weight.sign(), padding=1)
    assert torch.allclose(Shakeout(conv, 0.3, strength=0.1)(x, key=8), expected)


def test_evaluation_and_rate_0_are_the_layer_and_mc_draws() -> None:
    layer = linear()
    shaken = Shakeout(layer, 0.5, strength=0.1).eval()
    assert torch.equal(shaken(X), layer(X))
    assert torch.equal(Shakeout(layer, 0.0, strength=0.1)(X), layer(X))
    with dropkit.mode(shaken, "mc"):
        assert torch.equal(shaken(X, key=1), Shakeout(layer, 0.5, strength=0.1)(X, key=1))


def test_at_rate_1_every_contribution_is_reversed() -> None:
    layer = linear()
    y = Shakeout(layer, 1.0, strength=0.3)(X, key=1)
    assert torch.allclose(y, layer.bias - 0.3 * nn.functional.linear(X, layer.weight.sign()))


def test_a_fallen_infinity_is_gone_where_there_is_no_reversal() -> None:
    x = torch.full((1, 64), float("inf"))
    layer = nn.Linear(64, 1)
    nn.init.ones_(layer.weight)
    assert Shakeout(layer, 1.0, strength=0.0)(x, key=1).isfinite().all()


def test_copies_keep_the_weights_under_sensible_names() -> None:
    shaken = Shakeout(linear(), 0.5)
    assert list(shaken.state_dict()) == ["layer.weight", "layer.bias"]
    for copied in (copy.deepcopy(shaken), pickle.loads(pickle.dumps(shaken))):
        assert torch.equal(copied(X, key=2), shaken(X, key=2))


def test_half_precision_comes_back_as_it_was() -> None:
    y = Shakeout(nn.Linear(6, 4).bfloat16(), 0.5, strength=0.1)(X.bfloat16(), key=1)
    assert y.dtype == torch.bfloat16


def test_it_compiles_whole() -> None:
    shaken = Shakeout(linear(), 0.5, strength=0.1)
    compiled: Any = torch.compile(shaken, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=4), shaken(X, key=4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.ReLU(),), "layer is a torch.nn.Linear, Conv1d, Conv2d or Conv3d, got 'ReLU'; wrap"),
        ((nn.Linear(1, 1), 1.5), r"p must be a number in \[0, 1\], got 1.5; write"),
        ((nn.Linear(1, 1), 0.5, -0.1), r"strength must be a number in \[0, inf\), got -0.1; give c"),
        ((nn.Linear(1, 1), 0.5, 0.1, float("nan")), r"smooth must be a number in \[0, inf\), got nan; give"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Shakeout(*arguments)
