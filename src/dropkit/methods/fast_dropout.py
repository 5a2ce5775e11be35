"""Fast dropout: the output of a linear layer with dropped inputs is drawn from its normal approximation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dropkit.core.key import Key
from dropkit.core.local import carried, deviation
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import normal

__all__ = ["METHOD", "Moments", "dropped_variance", "relu_moments", "sigmoid_moments"]

# sigmoid(x)**2 is about sigmoid(A (x - B)): value and slope agree where the square is one half.
_A, _B = 4 - 2 * math.sqrt(2), -math.log(math.sqrt(2) - 1)


class Moments(NamedTuple):
    """Mean and variance of each entry, taken to be normal and independent of the others."""

    mean: Any
    variance: Any


def dropped_variance(mean: Any, variance: Any, rate: float) -> Any:
    """Return the variance of x kept / (1 - rate) for an input of this mean and variance.

    E x**2 / (1 - rate) - (E x)**2: that of inverted dropout, which keeps the mean. The paper scales at test
    time instead.

    Args:
        mean: of the input.
        variance: of the input, 0 where it is known.
        rate: the probability that an input is dropped, in [0, 1).

    >>> dropped_variance(np.array([2.0]), 0.0, 0.5).tolist()
    [4.0]
    """
    square = mean * mean
    return (variance + square) / (1 - rate) - square


def relu_moments(xp: Any, moments: Moments, cdf: Callable[[Any], Any]) -> Moments:
    """Return the moments of max(0, x) for a normal x: exact.

    Args:
        xp: the module of the arrays, numpy or torch.
        moments: those of x.
        cdf: the distribution function of the standard normal law, e.g. `scipy.special.ndtr`.
    """
    mean, variance = moments
    spread = deviation(variance)
    known = spread == 0
    ratio = mean / (spread + known)
    above = cdf(ratio) * ~known + (mean > 0) * known
    density = spread * xp.exp(-0.5 * ratio * ratio) / math.sqrt(2 * math.pi)
    first = mean * above + density
    second = (mean * mean + variance) * above + mean * density
    return Moments(first, xp.maximum(second - first * first, 0 * first))


def sigmoid_moments(xp: Any, moments: Moments) -> Moments:
    """Return about the moments of sigmoid(x) for a normal x: the mean is sigmoid(mean / sqrt(1 + pi v / 8)).

    That is the mean of a probit of the same slope (MacKay 1992), within 0.02. The mean of the square comes
    from sigmoid(x)**2, which is about sigmoid(a (x - b)) with a = 4 - 2 sqrt(2), b = -log(sqrt(2) - 1).

    >>> sigmoid_moments(np, Moments(np.array(0.0), np.array(1.0))).mean
    np.float64(0.5)
    """
    first = _mean_sigmoid(xp, *moments)
    second = _mean_sigmoid(xp, _A * (moments.mean - _B), _A * _A * moments.variance)
    return Moments(first, xp.maximum(second - first * first, 0 * first))


def _mean_sigmoid(xp: Any, mean: Any, variance: Any) -> Any:
    return 0.5 + 0.5 * xp.tanh(mean / (1 + math.pi / 8 * variance) ** 0.5 / 2)


def _sketch(key: Key) -> Array:
    """Outputs over their mean, of layers with 1 to 32 inputs: the more inputs, the less noise."""
    inputs = np.arange(1, 33)
    variances = [carried(dropped_variance(np.ones((1, n)), 0.0, 0.5), np.ones((1, n))) for n in inputs]
    return np.asarray(1 + deviation(np.ravel(variances)) / inputs * normal(key, (16, 32)))


METHOD = Method(
    name="fast_dropout",
    title="Fast dropout",
    summary="Draws each output of a linear layer from the normal law that dropped inputs nearly give it, "
    "or carries mean and variance through the network without drawing.",
    formula="y ~ N(W x + b, sum_i W_ji^2 x_i^2 rate / (1 - rate)); for ReLU E max(0, y) = mu Phi(mu / s) + s "
    "phi(mu / s); for sigmoid E sigmoid(y) = sigmoid(mu / sqrt(1 + pi s^2 / 8))",
    paper=Paper(
        title="Fast dropout training",
        authors=("Wang, Sida", "Manning, Christopher D."),
        year=2013,
        venue="ICML",
        url="https://collaborate.princeton.edu/en/publications/fast-dropout-training",
        bibtex="""@inproceedings{wang2013fast,
  title     = {Fast dropout training},
  author    = {Wang, Sida and Manning, Christopher D.},
  booktitle = {Proceedings of the 30th International Conference on Machine Learning},
  pages     = {118--126},
  year      = {2013}
}""",
        checked="a university's page and two citing bibliographies for the reference; the first author's "
        "page of errata for the sigmoid, and the public library breze for the moments of a dropped input",
    ),
    site="activation",
    fields=("text", "tabular"),
    good_for="Wide linear layers and logistic regression on many features: one draw an output instead of "
    "one an input, gradients of less variance, and at test time a mean over all masks in one pass.",
    bad_for="Layers of few inputs, whose sums are not nearly normal; layers whose inputs depend strongly on "
    "each other; convolutions and attention, for which there is no wrapper.",
    sketch=_sketch,
    evidence="Wang and Manning 2013 report an order of magnitude in speed and more stability than sampled "
    "dropout (abstract).",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "from dropkit.torch import relu_moments\n\n"
            "first = FastDropout(torch.nn.Linear(64, 32), 0.5)\n"
            "second = FastDropout(torch.nn.Linear(32, 4), 0.5)\n"
            "x = torch.randn(16, 64)\n"
            "y = second(first(x).relu())  # draws in training\n"
            "mean, variance = second.moments(*relu_moments(*first.moments(x)))"
        },
    ),
    aliases=("fast_gaussian_dropout",),
    around="layer",
    layers={"torch": "FastDropout"},
    waived=dict.fromkeys(
        ("rate", "moments", "mean", "groups", "independence", "gradient"),
        "Wang and Manning 2013, abstract: outputs are sampled from their normal approximation, so that no "
        "input has a factor of its own; mean and variance of the outputs are tested instead",
    ),
)
