"""Dropout injection: dropout enters a trained network for its predictions alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "best_scale", "calibrated_scale", "dropout_injection", "negative_log_likelihood"]

_LEVELS = 10
_Z = tuple(NormalDist().inv_cdf((1 + k / _LEVELS) / 2) for k in range(1, _LEVELS))
"""How many deviations to either side hold 10, 20 ... 90 % of a normal law."""


def dropout_injection(rate: Any) -> Drop:
    """Return the dropout that is put behind hidden activations of a network that was trained without.

    prediction = mean over passes of f(x, mask); its variance is `best_scale` times their variance
    (Ledda et al. 2023).

    Args:
        rate: the probability that an entry is dropped, in [0, 1], chosen on held-out data.

    >>> dropout_injection(0.05).groups.pattern
    '...'
    """
    return Drop(rate)


def negative_log_likelihood(xp: Any, mean: Any, variance: Any, target: Any) -> Any:
    """Return the mean negative log-likelihood of targets under normal predictions.

    mean of (log(2 pi variance) + (target - mean)**2 / variance) / 2.

    Args:
        xp: the module of the arrays, numpy or torch.
        mean: predictions.
        variance: of the predictions, above 0.
        target: what came true, of the shape of `mean`.

    >>> import numpy
    >>> round(float(negative_log_likelihood(numpy, numpy.zeros(1), numpy.ones(1), numpy.zeros(1))), 4)
    0.9189
    """
    return (xp.log(2 * math.pi * variance) + (target - mean) ** 2 / variance).mean() / 2


def best_scale(mean: Any, variance: Any, target: Any) -> Any:
    """Return the factor of the variance that makes held-out targets most likely.

    scale = mean of (target - mean)**2 / variance: there the derivative of the likelihood is 0.

    Args:
        mean: predictions for held-out data.
        variance: of the passes, above 0.
        target: what came true.

    >>> import numpy
    >>> float(best_scale(numpy.zeros(2), numpy.array([1.0, 4.0]), numpy.array([3.0, 6.0])))
    9.0
    """
    return ((target - mean) ** 2 / variance).mean()


def calibrated_scale(xp: Any, mean: Any, variance: Any, target: Any) -> Any:
    """Return the factor of the variance under which intervals hold as many held-out targets as they should.

    scale = median over targets and levels of (target - mean)**2 / (variance z**2), z the half widths of the
    normal intervals of 10, 20 ... 90 %: half of these pairs must be inside, as 0.1 + 0.2 + ... + 0.9 is half
    of 9. So the signed area between the calibration curve and the diagonal is 0, which the authors'
    `optimal_calibration` seeks by bisection.

    Args:
        xp: the module of the arrays, numpy or torch.
        mean: predictions for held-out data.
        variance: of the passes, above 0.
        target: what came true.

    >>> import numpy
    >>> float(calibrated_scale(numpy, numpy.zeros(1), numpy.ones(1), numpy.ones(1)).round(4))
    2.1981
    """
    squares = ((target - mean) ** 2 / variance).reshape(-1)
    ratios = xp.stack([squares / z**2 for z in _Z]).reshape(-1)
    ratios = ratios[xp.argsort(ratios)]
    return (ratios[(len(ratios) - 1) // 2] + ratios[len(ratios) // 2]) / 2


METHOD = Method(
    name="dropout_injection",
    title="Dropout injection",
    summary="Puts dropout into a network that was trained without, for its predictions alone, and scales the "
    "spread of the passes so that it fits the errors on held-out data.",
    formula="pass k: f(x) with kept_k / (1 - rate) behind the hidden activations; mean and variance over k; "
    "scaled variance = scale variance, scale = mean of (y - mean)^2 / variance on held-out data, or the "
    "scale under which intervals are calibrated there; rate: the one of least negative log-likelihood there",
    paper=Paper(
        title="Dropout Injection at Test Time for Post Hoc Uncertainty Quantification in Neural Networks",
        authors=("Ledda, Emanuele", "Fumera, Giorgio", "Roli, Fabio"),
        year=2023,
        venue="Information Sciences",
        url="https://arxiv.org/abs/2302.02924",
        bibtex="""@article{ledda2023dropout,
  title   = {Dropout Injection at Test Time for Post Hoc Uncertainty Quantification in Neural Networks},
  author  = {Ledda, Emanuele and Fumera, Giorgio and Roli, Fabio},
  journal = {Information Sciences},
  volume  = {645},
  pages   = {119356},
  year    = {2023}
}""",
        checked="arXiv's abstract and a university's page for the reference; the authors' code "
        "(EmanueleLedda97/Dropout_Injection) for mean, variance and both scales (metrics.optimal_scaler and "
        "optimal_calibration); the choice of the rate by held-out likelihood is this library's reading of "
        "their comparison of rates",
    ),
    site="activation",
    fields=("tabular", "vision"),
    good_for="Regression networks that are trained already, without dropout, and shall say how sure they "
    "are: no training, and held-out data of moderate size.",
    bad_for="Networks that can still be trained, where dropout belongs in from the start; "
    "classification, whose spread is no variance; data that differ from the held-out data.",
    describe=dropout_injection,
    variant_of="dropout",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.1},
        usage={
            "torch": "from dropkit.surgery import inject\n\n"
            "trained = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))\n"
            "x, y = torch.randn(16, 32), torch.randn(16, 1)\n"
            "with inject(trained, x, {rate}) as injected:\n"
            "    assert isinstance(trained[1].dropkit_drop, Dropout)\n"
            "    trials = injected.tune(x, y, rates=(0.05, {rate}, 0.2))  # x and y: held-out data\n"
            "    mean, variance = injected.predict(x)"
        },
    ),
    evidence="Ledda et al. 2023 find it a competitive alternative to dropout that was trained with, on "
    "regression benchmarks and crowd counting, provided that the variance is scaled suitably; likelihood and "
    "calibration ask for different scales, which is a trade-off (abstract).",
    aliases=("injected_dropout", "post_hoc_dropout"),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
