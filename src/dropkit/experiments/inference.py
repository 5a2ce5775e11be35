"""Tests on paired differences whose training sets may share rows, and the effect such a test can see."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

__all__ = ["Paired", "detectable_effect", "holm", "paired_test"]


_EQUAL = 1e-9  # differences of equal shares differ by the rounding of their subtraction


@dataclass(frozen=True)
class Paired:
    """A mean paired difference with its spread, interval and two-sided p value.

    Equal differences leave no spread to measure: `sd` is then 0 and there is no interval.
    """

    mean: float
    sd: float
    low: float | None
    high: float | None
    p: float


def paired_test(differences: Sequence[float], overlap: float = 0.0, level: float = 0.95) -> Paired:
    r"""Corrected resampled t test of a mean difference of zero.

    .. math:: t = \bar d \big/ \sqrt{(1/J + \rho)\, s^2}, \qquad \rho = n_{test} / n_{train}

    With `overlap` 0 it is the plain paired t test, right where no row is used by two pairs. With the ratio of
    test to training rows it is Nadeau and Bengio's correction for resampled splits (Inference for the
    Generalization Error, Machine Learning 52, 2003, section 3.2). Where all differences are equal, p is that
    of the sign test, at the same correlation between pairs.

    Args:
        differences: one number a pair, at least two.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.
        level: of the interval, in (0, 1).

    >>> round(paired_test([1.0, 2.0, 3.0]).p, 4)
    0.0742
    """
    d = np.asarray(differences, dtype=float)
    mean, sd = float(d.mean()), float(d.std(ddof=1))
    if sd <= _EQUAL * float(np.abs(d).max()):
        return Paired(mean, 0.0, None, None, p=1.0 if mean == 0 else _sign_test(d.size, overlap))
    error = sd * math.sqrt(1 / d.size + overlap)
    half = error * float(stats.t.ppf((1 + level) / 2, d.size - 1))
    p = 2 * float(stats.t.sf(abs(mean) / error, d.size - 1))
    return Paired(mean, sd, mean - half, mean + half, p)


def _sign_test(pairs: int, overlap: float) -> float:
    """The probability that so many pairs all have the same sign: 2 E[Phi(sqrt(overlap) Z) ** pairs]."""
    return 2 * float(stats.norm.expect(lambda z: special.ndtr(math.sqrt(overlap) * z) ** pairs))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values (Scandinavian Journal of Statistics 6, 1979), in the order given.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def detectable_effect(
    pairs: int, overlap: float = 0.0, comparisons: int = 1, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true mean difference, in sd of the paired difference, that is found with the stated power.

    It is that of the first and strictest of Holm's steps (level alpha / comparisons), by the noncentral t.

    >>> round(detectable_effect(10), 2), round(detectable_effect(10, comparisons=5), 2)
    (1.0, 1.33)
    """
    freedom = pairs - 1
    critical = stats.t.ppf(1 - alpha / comparisons / 2, freedom)
    shift = optimize.brentq(lambda nc: stats.nct.sf(critical, freedom, nc) - power, 0, critical * 10 + 10)
    return float(shift) * math.sqrt(1 / pairs + overlap)
