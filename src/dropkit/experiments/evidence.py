"""What stands beside a test: the size of the effect, how often it is seen, and a check by sign flips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from dropkit.experiments.inference import estimate

__all__ = ["effect_size", "sign_flips", "wins"]

_FLIPS = 9999


def effect_size(
    differences: Sequence[float], overlap: float = 0.0, level: float = 0.95
) -> tuple[float, float, float] | None:
    """Mean over standard deviation of the paired difference (Cohen's d), with its interval.

    The interval is exact for the model of `dropkit.experiments.inference`: the shifts of the noncentral t
    distribution that have the seen t at their ends (Cumming and Finch, Educational and Psychological
    Measurement 61, 2001). None where all differences are equal.

    Args:
        differences: one number a pair, at least two.
        overlap: n_test / n_train for resampled splits, 0 for disjoint rows.
        level: of the interval, in (0, 1).

    >>> [round(value, 2) for value in effect_size([1.0, 2.0, 3.0])]
    [2.0, -0.14, 4.11]
    """
    found, tail = estimate(differences, overlap), (1 - level) / 2
    if found.sd == 0:
        return None
    t, scale = float(found.mean / found.error), float(found.error / found.sd)
    low, high = (scale * float(special.nctdtrinc(found.freedom, at, t)) for at in (1 - tail, tail))
    return scale * t, low, high


def wins(differences: Sequence[float]) -> float:
    """The share of pairs with a negative, hence better difference; ties count half: P(A > B) over pairs.

    >>> wins([-1.0, -0.5, 0.0, 2.0])
    0.625
    """
    return float(np.mean(np.heaviside(-np.asarray(differences, dtype=float), 0.5)))


def sign_flips(differences: Sequence[float]) -> float:
    """Two-sided p value of the sign-flip permutation test of the mean (Fisher, 1935).

    Right for any distribution that is symmetric under the null, but only for pairs that share no rows. Exact
    as long as there are at most 9,999 flips (13 pairs), else from so many drawn with a fixed seed.

    Args:
        differences: one number a pair, at least two.

    >>> sign_flips([-1.0] * 6) == 2 / 2**6
    True
    """
    d = np.asarray(differences, dtype=float)
    found = stats.permutation_test(
        (d,), np.mean, permutation_type="samples", vectorized=True, n_resamples=_FLIPS, rng=0
    )
    return float(found.pvalue)
