"""The mathematics of the article that this project comes from, by enumeration where it can be exact.

An entry is dropped with probability `rate`; v = rate / (1 - rate) is the variance of the inverted factor m.

Eleven figures here are random: their p-values are judged by the share that `dropkit.testing.registry` gives.
"""

import functools
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

import dropkit
from dropkit.core.address import Words
from dropkit.core.groups import Draws
from dropkit.core.reference import Arrays, apply, transform
from dropkit.testing import share, stats
from dropkit.torch import Dropout, functional

Array = np.ndarray[Any, Any]

RATES = [0.1, 0.5, 0.8]
UNITS = 8
DRAWS = 100_000


class EveryMask(Draws):
    """Draws that let fall every subset of the entries of a row once: row number i drops the bits of i."""

    @functools.cached_property
    def u(self) -> Array:
        rows, units = self.layout.sizes
        assert rows == 2**units
        dropped = np.arange(rows)[:, None] >> np.arange(units) & 1
        return np.where(dropped, 0, 2**32 - 1)


def thinned(x: Array, rate: float, scale: Any = "train") -> Array:
    """The output of dropout for x under each of the 2**n masks, drawn by the engine itself."""
    rows = np.broadcast_to(x, (2 ** len(x), len(x)))
    every = Arrays(np, None, EveryMask)
    return np.asarray(transform(rows, dropkit.Drop(rate, scale=scale), Words(0, 0, 0), rate, arrays=every))


def weights(units: int, rate: float) -> Array:
    """The probability of each of the 2**n masks, in the order of `thinned`."""
    dropped = np.array([i.bit_count() for i in range(2**units)])
    return np.asarray(rate**dropped * (1 - rate) ** (units - dropped))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def hoeffding(values: Array, mean: float, low: float, high: float) -> float:
    """The p-value of the mean of independent values in [low, high] (Hoeffding 1963, theorem 2), two-sided."""
    distance = abs(values.mean() - mean)
    return float(min(1.0, 2 * np.exp(-2 * values.size * distance**2 / (high - low) ** 2)))


def test_the_enumeration_holds_every_mask_once() -> None:
    masks = thinned(np.ones(UNITS), 0.5) == 0
    assert len(np.unique(masks, axis=0)) == 2**UNITS
    assert weights(UNITS, 0.3).sum() == pytest.approx(1)
    assert weights(UNITS, 0.3)[3] == pytest.approx(0.3**2 * 0.7**6)


# --- expected value and variance of a dropped layer


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("scale", ["train", "eval", "none"])
def test_mean_and_variance_of_a_dropped_layer(rate: float, scale: str) -> None:
    x, w = normal(UNITS), normal(UNITS, seed=1)
    outputs, probability = thinned(x, rate, scale) @ w, weights(UNITS, rate)
    mean = probability @ outputs
    factor = 1 if scale == "train" else 1 - rate
    assert mean == pytest.approx(factor * (w @ x), rel=1e-12)
    v = rate / (1 - rate)
    variance = probability @ (outputs - mean) ** 2
    assert variance == pytest.approx(factor**2 * v * np.sum((w * x) ** 2), rel=1e-12)


@pytest.mark.parametrize("rate", RATES)
def test_drawn_layers_have_that_mean_and_variance(rate: float) -> None:
    x, w = normal(UNITS), normal(UNITS, seed=1)
    v = rate / (1 - rate)
    outputs = dropkit.drop(np.broadcast_to(x, (DRAWS, UNITS)), rate, key=20) @ w
    parts = np.stack([np.zeros(UNITS), w * x / (1 - rate)])
    low, high = float(parts.min(0).sum()), float(parts.max(0).sum())
    assert hoeffding(outputs, float(w @ x), low, high) >= share("mathematics")
    squares = (outputs - w @ x) ** 2
    largest = float(max(high - w @ x, w @ x - low) ** 2)
    assert hoeffding(squares, float(v * np.sum((w * x) ** 2)), 0, largest) >= share("mathematics")


# --- the number of active units


@pytest.mark.parametrize("rate", RATES)
def test_the_number_of_active_units_is_binomial(rate: float) -> None:
    active = (dropkit.mask(21, (DRAWS, UNITS), dropkit.Drop(rate)) != 0).sum(axis=1)
    counts = np.bincount(active, minlength=UNITS + 1)
    law = scipy.stats.binom.pmf(np.arange(UNITS + 1), UNITS, 1 - rate)
    assert stats.binomial(counts, DRAWS, law) >= share("mathematics")


def test_the_number_of_active_units_of_a_torch_layer_is_binomial() -> None:
    torch.manual_seed(0)
    layer, units = Dropout(0.4), 40
    active = (layer(torch.ones(DRAWS, units)) != 0).sum(dim=1).numpy()
    law = scipy.stats.binom(units, 0.6)
    # Cells with at least 500 expected draws, where chi-square's law holds closely; the tails are pooled.
    edges = np.arange(int(law.ppf(0.01)), int(law.ppf(0.99)) + 1)
    counts = np.histogram(active, [-0.5, *(edges + 0.5), units + 0.5])[0]
    expected = DRAWS * np.diff([0, *law.cdf(edges), 1])
    assert expected.min() > 500
    assert scipy.stats.chisquare(counts, expected).pvalue >= share("mathematics")


# --- gradients


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("scale", ["train", "eval"])
def test_gradient_flows_only_through_kept_units(rate: float, scale: Any) -> None:
    drop = dropkit.Drop(rate, scale=scale)
    x = torch.tensor(normal(50, 20), requires_grad=True)
    gradient = torch.tensor(normal(50, 20, seed=1))
    (back,) = torch.autograd.grad(functional.drop(x, drop, key=22), x, gradient)
    m = dropkit.mask(22, (50, 20), drop)
    np.testing.assert_array_equal(back.numpy() == 0, m == 0)
    np.testing.assert_allclose(back.numpy(), m * gradient.numpy(), rtol=1e-15)


def gradient_moments(x: Array, w: Array, target: float, rate: float) -> tuple[Array, Array]:
    """Mean and mean square of the gradient of (w . (m x) - target)**2 / 2 with respect to w, in closed form.

    The residual is e + sum_k w_k x_k (m_k - 1) with e = w . x - target; a kept unit has m_j - 1 = v.
    """
    v, e = rate / (1 - rate), w @ x - target
    mean = x * (e + v * w * x)
    others = v * (np.sum((w * x) ** 2) - (w * x) ** 2)
    square = x**2 / (1 - rate) * ((e + v * w * x) ** 2 + others)
    return mean, square


def row_gradients(x: Array, w: Array, target: float, factors: torch.Tensor) -> Array:
    """The gradient with respect to w, by autograd, for each row of dropped inputs."""
    rows = torch.tensor(np.broadcast_to(w, factors.shape).copy(), requires_grad=True)
    loss = ((rows * factors).sum(dim=1) - target).square().sum() / 2
    return torch.autograd.grad(loss, rows)[0].numpy()


@pytest.mark.parametrize("rate", RATES)
def test_mean_and_variance_of_the_gradient(rate: float) -> None:
    x, w, target = normal(UNITS), normal(UNITS, seed=1), 0.7
    gradients = row_gradients(x, w, target, torch.tensor(thinned(x, rate)))
    mean, square = gradient_moments(x, w, target, rate)
    np.testing.assert_allclose(weights(UNITS, rate) @ gradients, mean, rtol=1e-11)
    np.testing.assert_allclose(weights(UNITS, rate) @ gradients**2, square, rtol=1e-11)


def test_the_variance_of_the_gradient_grows_with_the_rate() -> None:
    x, w = normal(UNITS), normal(UNITS, seed=1)
    moments = [gradient_moments(x, w, 0.7, rate) for rate in (0.0, 0.1, 0.3, 0.5, 0.8)]
    variances = np.array([square - mean**2 for mean, square in moments])
    np.testing.assert_allclose(variances[0], 0, atol=1e-12)
    assert (np.diff(variances, axis=0) > 0).all()


def test_drawn_gradients_have_that_mean_square() -> None:
    x, w, target, rate = normal(UNITS), normal(UNITS, seed=1), 0.7, 0.5
    inputs = functional.drop(
        torch.tensor(np.broadcast_to(x, (DRAWS, UNITS)).copy()), dropkit.Drop(rate), key=23
    )
    norms = (row_gradients(x, w, target, inputs) ** 2).sum(axis=1)
    every = (row_gradients(x, w, target, torch.tensor(thinned(x, rate))) ** 2).sum(axis=1)
    expected = gradient_moments(x, w, target, rate)[1].sum()
    assert hoeffding(norms, expected, every.min(), every.max()) >= share("mathematics")


# --- linear regression: dropout is an adaptive L2 penalty (Wager, Wang and Liang 2013, section 3)


def expected_loss(X: Array, y: Array, w: Array, rate: float) -> float:
    """The mean over all masks of |y - (M X) w|**2, each row with masks of its own."""
    probability = weights(X.shape[1], rate)
    return float(sum(probability @ (t - thinned(row, rate) @ w) ** 2 for row, t in zip(X, y, strict=True)))


@pytest.mark.parametrize("rate", RATES)
def test_dropout_on_linear_regression_is_adaptive_l2(rate: float) -> None:
    X, y = normal(12, 4) * [1, 2, 5, 0.1], normal(12, seed=1)
    penalty = rate / (1 - rate) * np.diag(X.T @ X)
    for seed in range(3):
        w = normal(4, seed=seed)
        closed = np.sum((y - X @ w) ** 2) + penalty @ w**2
        assert expected_loss(X, y, w, rate) == pytest.approx(closed, rel=1e-12)


@pytest.mark.parametrize("rate", RATES)
def test_its_minimiser_is_the_closed_form(rate: float) -> None:
    X, y = normal(12, 4) * [1, 2, 5, 0.1], normal(12, seed=1)
    penalty = rate / (1 - rate) * np.diag(X.T @ X)
    closed = np.linalg.solve(X.T @ X + np.diag(penalty), X.T @ y)
    # Every masked copy of every row, weighted by its probability: an ordinary least squares problem.
    root = np.sqrt(weights(4, rate))
    copies = np.concatenate([root[:, None] * thinned(row, rate) for row in X])
    targets = np.concatenate([root * target for target in y])
    enumerated = np.linalg.lstsq(copies, targets)[0]
    np.testing.assert_allclose(enumerated, closed, rtol=1e-9)
    # Adaptive: each weight shrinks as if its column had length 1, whatever the units of its feature.
    lengths = np.linalg.norm(X, axis=0)
    unit = X / lengths
    ridge = np.linalg.solve(unit.T @ unit + rate / (1 - rate) * np.eye(4), unit.T @ y)
    np.testing.assert_allclose(closed * lengths, ridge, rtol=1e-9)


# --- a softmax on one dropped layer: weight scaling is the geometric mean of all thinned networks


def geometric_mean(logits: Array, probability: Array) -> Array:
    """The normalised geometric mean of the softmax outputs of all networks, weighted by probability."""
    mean = np.exp(probability @ scipy.special.log_softmax(logits, axis=1))
    return np.asarray(mean / mean.sum())


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("scale", ["train", "eval"])
def test_weight_scaling_is_the_geometric_mean_of_all_thinned_networks(rate: float, scale: Any) -> None:
    x, W, b = normal(UNITS), normal(3, UNITS, seed=1), normal(3, seed=2)
    networks = thinned(x, rate, scale) @ W.T + b
    scaled = apply(x, dropkit.Drop(rate, scale=scale), mode="eval")
    expected = scipy.special.softmax(W @ scaled + b)
    np.testing.assert_allclose(geometric_mean(networks, weights(UNITS, rate)), expected, rtol=1e-12)


def test_behind_a_hidden_layer_or_as_an_arithmetic_mean_it_is_not() -> None:
    x, W, V = normal(UNITS), normal(3, UNITS, seed=1), normal(3, 3, seed=2)
    probability = weights(UNITS, 0.5)
    hidden = np.maximum(thinned(x, 0.5) @ W.T, 0) @ V.T
    deep = scipy.special.softmax(np.maximum(W @ x, 0) @ V.T)
    assert np.abs(geometric_mean(hidden, probability) - deep).max() > 0.01
    arithmetic = probability @ scipy.special.softmax(thinned(x, 0.5) @ W.T, axis=1)
    assert np.abs(arithmetic - scipy.special.softmax(W @ x)).max() > 0.01


# --- both conventions, and the article's slip


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("scale", ["train", "eval"])
def test_in_either_convention_evaluation_is_the_expectation_of_training(rate: float, scale: Any) -> None:
    x = normal(UNITS)
    expected = weights(UNITS, rate) @ thinned(x, rate, scale)
    np.testing.assert_allclose(apply(x, dropkit.Drop(rate, scale=scale), mode="eval"), expected, rtol=1e-12)


@pytest.mark.parametrize("rate", RATES)
def test_the_conventions_are_one_network_with_its_next_weights_divided_by_the_keep_probability(
    rate: float,
) -> None:
    x, w = normal(UNITS), normal(UNITS, seed=1)
    np.testing.assert_allclose(
        thinned(x, rate, "train") @ w, thinned(x, rate, "eval") @ (w / (1 - rate)), rtol=1e-12
    )
    train, shrunk = (apply(x, dropkit.Drop(rate, scale=scale), mode="eval") for scale in ("train", "eval"))
    np.testing.assert_allclose(train @ w, shrunk @ (w / (1 - rate)), rtol=1e-12)


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_the_articles_test_time_factor_of_1_over_p_is_wrong(keep: float) -> None:
    # The article: r_i is 1 with probability p, so E(r f) = p f; "at test time multiply by 1/p".
    f = normal(UNITS)
    masked = thinned(f, 1 - keep, "eval")
    expectation = weights(UNITS, 1 - keep) @ masked
    np.testing.assert_allclose(expectation, keep * f, rtol=1e-12)
    article = f / keep
    np.testing.assert_allclose(article / expectation, 1 / keep**2, rtol=1e-12)
    # Right is the factor p at test time, or the factor 1/p while training.
    np.testing.assert_allclose(
        apply(f, dropkit.Drop(1 - keep, scale="eval"), mode="eval"), expectation, rtol=1e-12
    )
    np.testing.assert_allclose(weights(UNITS, 1 - keep) @ (masked / keep), f, rtol=1e-12)


def test_at_one_half_the_slip_is_a_factor_of_four() -> None:
    f = np.array([3.0])
    assert f / 0.5 == 4 * (weights(1, 0.5) @ thinned(f, 0.5, "eval"))
