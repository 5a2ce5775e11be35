import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.noise import Gaussian
from dropkit.core.reference import draws
from dropkit.methods.whiteout import contribution
from dropkit.testing import share
from dropkit.torch import Whiteout

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(5, 6, dtype=torch.float64, generator=GENERATOR)


def linear() -> nn.Linear:
    layer = nn.Linear(6, 4).double()
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-0.9, 1.0, 24).reshape(4, 6))
    return layer


def standard(key: int, shape: tuple[int, ...]) -> np.ndarray:
    words = draws(key, shape)
    return np.asarray(Gaussian().standard(np, words.u, words.second))


@pytest.mark.parametrize("multiplicative", [False, True])
def test_the_noise_has_the_variance_that_numpy_adds_up(multiplicative: bool) -> None:
    layer = linear()
    spread = contribution(layer.weight.detach().numpy(), 0.4, 1.3, 0.2)
    power = X.numpy() ** 2 if multiplicative else np.ones((5, 6))
    y = Whiteout(layer, 0.4, 1.3, 0.2, multiplicative=multiplicative)(X, key=3)
    expected = layer(X).detach().numpy() + np.sqrt(power @ spread.T) * standard(3, (5, 4))
    assert y.detach().numpy() == pytest.approx(expected, rel=1e-12)


def test_the_sum_has_the_law_of_noise_drawn_for_each_weight() -> None:
    """Equation (1), drawn weight by weight with NumPy's generator, against what the layer draws."""
    layer, n = nn.Linear(3, 1, bias=False).double(), 4000
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.2, -1.0, 0.6]]))
    w = layer.weight.detach().numpy()[0]
    noise = np.random.default_rng(1).normal(size=(n, 3)) * np.sqrt(0.25 * abs(w) ** -0.7 + 0.1)
    drawn = Whiteout(layer, 0.5, 0.7, 0.1)(torch.zeros(n, 3, dtype=torch.float64), key=5)
    found = stats.ks_2samp(noise @ w, drawn.detach().numpy()[:, 0])
    assert found.pvalue > share("torch")


def test_its_expected_gradient_is_that_of_a_lasso() -> None:
    """Theorem 1 for squares: averaged over z and -z, the loss is that without noise plus z^2 sigma^2 |w|."""
    w = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        w.weight.copy_(torch.tensor([[0.7, -0.3]]))
    noisy, zero = Whiteout(w, 0.5, 1.0), torch.zeros(1, 2, dtype=torch.float64)
    z = float(standard(2, (1, 1))[0, 0])
    (grad,) = torch.autograd.grad(noisy(zero, key=2).square().sum(), w.weight)
    assert grad[0].tolist() == pytest.approx([0.25 * z * z, -0.25 * z * z])


def test_a_convolution_has_no_noise_in_its_padding() -> None:
    conv = nn.Conv1d(1, 1, 3, padding=1, bias=False).double()
    nn.init.ones_(conv.weight)
    drawn = Whiteout(conv, 0.5)(torch.zeros(1, 1, 4, dtype=torch.float64), key=2).detach().numpy()
    deviation = [math.sqrt(0.5), math.sqrt(0.75), math.sqrt(0.75), math.sqrt(0.5)]
    assert drawn[0, 0] == pytest.approx(deviation * standard(2, (1, 1, 4))[0, 0])


@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.9])
def test_weights_of_0_have_finite_gradients(gamma: float) -> None:
    layer = nn.Linear(6, 4).double()
    nn.init.zeros_(layer.weight)
    nn.init.ones_(layer.weight[:2])
    x = X.clone().requires_grad_()
    y = Whiteout(layer, 0.3, gamma, 0.1, multiplicative=True)(x, key=1)
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(y.sum(), (x, *layer.parameters())))


def test_evaluation_and_no_noise_are_the_layer_and_mc_draws() -> None:
    layer = linear()
    noisy = Whiteout(layer).eval()
    assert torch.equal(noisy(X), layer(X))
    assert torch.equal(Whiteout(layer, 0.0)(X), layer(X))
    with dropkit.mode(noisy, "mc"):
        assert torch.equal(noisy(X, key=1), Whiteout(layer)(X, key=1))


def test_copies_keep_the_weights_under_sensible_names() -> None:
    noisy = Whiteout(linear())
    assert list(noisy.state_dict()) == ["layer.weight", "layer.bias"]
    assert torch.equal(copy.deepcopy(noisy)(X, key=2), noisy(X, key=2))


def test_half_precision_comes_back_as_it_was() -> None:
    y = Whiteout(nn.Linear(6, 4).bfloat16(), 0.1, multiplicative=True)(X.bfloat16(), key=1)
    assert y.dtype == torch.bfloat16


def test_it_compiles_whole() -> None:
    noisy = Whiteout(linear())
    compiled: Any = torch.compile(noisy, backend="aot_eager", fullgraph=True)
    assert torch.allclose(compiled(X, key=4), noisy(X, key=4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((nn.ReLU(),), r"layer is a torch.nn.Linear, Conv1d, Conv2d or Conv3d, got 'ReLU'; wrap"),
        ((nn.Linear(1, 1), -1), r"sigma must be a number in \[0, inf\), got -1; give"),
        ((nn.Linear(1, 1), 0.1, 2.0), r"gamma must be a number in \(0, 2\), got 2.0; write"),
        ((nn.Linear(1, 1), 0.1, 0.0), r"gamma must be a number in \(0, 2\), got 0.0; write"),
        ((nn.Linear(1, 1), 0.1, 1.0, -0.1), r"ridge must be a number in \[0, inf\), got -0.1; give"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Whiteout(*arguments)
