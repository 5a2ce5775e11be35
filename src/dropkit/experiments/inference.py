"""Tests on paired differences whose training sets may share rows; all work along the last axis.

The model behind every figure: differences of pairs are normal and equally correlated, with the correlation
overlap / (1 + overlap) = n_test / (n_train + n_test) that Nadeau and Bengio assume. Under it the corrected
statistic is t distributed, exactly; `dropkit.experiments.simulate` measures it, and other correlations too.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

__all__ = ["Estimate", "Paired", "estimate", "holm", "paired_test"]

Array = npt.NDArray[Any]

_EQUAL = 1e-9  # differences of equal shares differ by the rounding of their subtraction


@dataclass(frozen=True)
class Estimate:
    """Mean paired differences, their spreads and standard errors: arrays, one entry a comparison.

    Where all differences of a comparison are equal there is no spread to measure: its `sd` is 0, and its p
    values are those of the sign test at the same correlation between pairs.
    """

    mean: Array
    sd: Array
    error: Array
    pairs: int
    overlap: float

    @property
    def freedom(self) -> int:
        """Degrees of freedom of the t distribution."""
        return self.pairs - 1

    def below(self, bound: Array | float) -> Array:
        """One-sided p values of "the true mean is not below `bound`"."""
        gap = self.mean - bound
        steady = self.sd == 0
        t = np.divide(gap, self.error, out=np.zeros_like(gap), where=~steady)
        p: Array = np.where(steady, self._same_side(gap), special.stdtr(self.freedom, t))
        return p

    def above(self, bound: Array | float) -> Array:
        """One-sided p values of "the true mean is not above `bound`"."""
        return Estimate(-self.mean, self.sd, self.error, self.pairs, self.overlap).below(-bound)

    def p(self) -> Array:
        """Two-sided p values of "the true mean is zero"."""
        p: Array = np.minimum(1.0, 2 * np.minimum(self.below(0.0), self.above(0.0)))
        return p

    def _same_side(self, gap: Array) -> Array:
        """Where so many pairs all lie below the bound: E[Phi(sqrt(overlap) Z) ** pairs]."""
        if not (self.sd == 0).any():
            return np.ones_like(gap)
        return np.where(gap < 0, _all_below(self.pairs, self.overlap), 1.0)


@functools.cache  # an integral of a quarter of a second, asked for again with every pair left out
def _all_below(pairs: int, overlap: float) -> float:
    spread = math.sqrt(overlap)
    return float(stats.norm.expect(lambda z: special.ndtr(spread * z) ** pairs))


def estimate(differences: npt.ArrayLike, overlap: float = 0.0) -> Estimate:
    r"""Means along the last axis with the standard error of the corrected resampled t test.

    .. math:: \widehat{se}^2 = (1/J + \rho)\, s^2, \qquad \rho = n_{test} / n_{train}

    With `overlap` 0 it is that of the plain paired t test, right where no row is used by two pairs. With the
    ratio of test to training rows it is Nadeau and Bengio's correction for resampled splits (Inference for
    the Generalization Error, Machine Learning 52, 2003, section 3.2).

    Args:
        differences: `(..., pairs)`, at least two pairs.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.

    >>> round(float(estimate([1.0, 2.0, 3.0]).p()), 4)
    0.0742
    """
    d = np.asarray(differences, dtype=float)
    pairs = d.shape[-1]
    sd = d.std(axis=-1, ddof=1)
    sd = np.where(sd <= _EQUAL * np.abs(d).max(axis=-1), 0.0, sd)
    return Estimate(d.mean(axis=-1), sd, sd * math.sqrt(1 / pairs + overlap), pairs, overlap)


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
    """Corrected resampled t test of a mean difference of zero, with its interval.

    Args:
        differences: one number a pair, at least two.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.
        level: of the interval, in (0, 1).

    >>> round(paired_test([1.0, 2.0, 3.0]).p, 4)
    0.0742
    """
    found = estimate(differences, overlap)
    mean, sd, p = float(found.mean), float(found.sd), float(found.p())
    if sd == 0:
        return Paired(mean, 0.0, None, None, p)
    half = float(found.error) * float(stats.t.ppf((1 + level) / 2, found.freedom))
    return Paired(mean, sd, mean - half, mean + half, p)


def holm(p_values: npt.ArrayLike) -> Array:
    """Holm's adjusted p values (Scandinavian Journal of Statistics 6, 1979), in the order given.

    Args:
        p_values: `(..., comparisons)`.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, axis=-1, kind="stable")
    steps = np.take_along_axis(p, order, axis=-1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(np.maximum.accumulate(steps, axis=-1), 1.0), axis=-1)
    return adjusted
