"""Exact statistical tests for masks: every p-value here is a bound that holds for every sample size.

Each function returns one p-value that is already corrected for the comparisons it makes (Bonferroni), so that
a test is judged by one comparison: `p < share(test)`, with the share of `dropkit.testing.registry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dropkit.core.check import DropkitError, Interval, Whole, try_import

__all__ = [
    "LAGS",
    "Pairs",
    "agreement",
    "binomial",
    "central",
    "collisions",
    "distribution",
    "groups_needed",
    "joint",
    "pairs",
    "power",
    "repeats",
    "score_sums",
    "scores",
]

LAGS = 64
"""Independence is examined at all lags up to this one."""

Array = np.ndarray[Any, Any]

_WORD = 64
_PROBABILITY = Interval(0, 1, "write e.g. 1e-6", open_low=True, open_high=True)
_ERROR = Interval(0, math.inf, "write e.g. 0.03 for 3 %", open_low=True, open_high=True)
_DRAWS = Whole(1, "give the number of independent groups")


class Pairs(NamedTuple):
    """Disjoint pairs of coins at one lag along one axis: how many there are and how many of them agree."""

    axis: int
    lag: int
    agreeing: int
    total: int


def joint(p: Any) -> float:
    """Return the p-value of the smallest of several tests, corrected for their number (Bonferroni).

    >>> joint([0.5, 0.01])
    0.02
    """
    values = np.asarray(p, dtype=float)
    return 1.0 if values.size == 0 else float(min(1.0, values.min() * values.size))


def binomial(hits: Any, draws: Any, rate: Any) -> float:
    """Return the p-value of hits ~ Binomial(draws, rate), two-sided and exact: twice the smaller tail.

    Args:
        hits: how often it happened: a number, or an array with one for each comparison.
        draws: out of how many independent draws.
        rate: the declared probability, in [0, 1].

    >>> round(binomial(60, 100, 0.5), 4)
    0.0569
    """
    law = try_import("scipy.stats", extra="study").binom
    hits = np.asarray(hits)
    tail = np.minimum(law.cdf(hits, draws, rate), law.sf(hits - 1, draws, rate))
    return joint(np.minimum(1.0, 2 * tail))


def central(counts: Array, n: int, rate: float) -> tuple[int, int, float]:
    """Return how many counts lie in the central half of Binomial(n, rate), of how many, and how many should.

    The central half reaches from the quantile 1/4 to the quantile 3/4, both included; its probability is
    summed from the law, so that the number inside is binomial, exactly. Too many inside: the draws are
    balanced, as in "exactly k of n". Too few: they fall together.

    Args:
        counts: independent counts, of any shape.
        n: independent draws in each.
        rate: the declared probability, in [0, 1].

    >>> import numpy
    >>> central(numpy.full(100, 50), 100, 0.5)[:2]
    (100, 100)
    """
    law = try_import("scipy.stats", extra="study").binom
    low, high = law.ppf((0.25, 0.75), n, rate)
    within = float(law.cdf(high, n, rate) - law.cdf(low - 1, n, rate))
    return int(((counts >= low) & (counts <= high)).sum()), counts.size, counts.size * min(within, 1.0)


def power(rate: float, actual: float, draws: int, alpha: float) -> float:
    """Return the probability that `binomial` at level `alpha` notices that the rate is `actual`: exact.

    Args:
        rate: the declared probability, in (0, 1).
        actual: the probability that holds, in [0, 1].
        draws: number of independent draws, at least 1.
        alpha: the false-alarm rate, in (0, 1).

    >>> power(0.5, 0.515, 58_000, 1e-6) > 0.98
    True
    """
    law = try_import("scipy.stats", extra="study").binom
    _PROBABILITY.check("rate", rate), _PROBABILITY.check("alpha", alpha), _DRAWS.check("draws", draws)
    low, high = law.ppf(alpha / 2, draws, rate), law.isf(alpha / 2, draws, rate)
    # The quantiles themselves may lie on either side of the level: only what lies beyond them surely rejects.
    return float(law.cdf(low - 1, draws, actual) + law.sf(high, draws, actual))


def groups_needed(rate: float, relative_error: float, alpha: float, power: float) -> int:
    """Return how many independent groups show that a rate is off by `relative_error`, either way.

    n = (z(1 - alpha/2) + z(power))**2 (1 - rate) / (rate relative_error**2): the sample size of a two-sided
    test with the variance of the declared rate. `dropkit.testing.stats.power` gives the exact power of what
    it plans.

    Args:
        rate: the declared probability, in (0, 1).
        relative_error: smallest error to be seen, as a share of the rate, e.g. 0.03.
        alpha: the false-alarm rate, in (0, 1).
        power: the probability of seeing it, in (0, 1).

    Raises:
        DropkitError: an argument is out of range.

    >>> [round(groups_needed(rate, 0.03, 1e-6, 0.99), -3) for rate in (0.5, 0.1)]
    [58000, 521000]
    """
    normal = try_import("scipy.stats", extra="study").norm
    _PROBABILITY.check("rate", rate), _PROBABILITY.check("alpha", alpha), _PROBABILITY.check("power", power)
    _ERROR.check("relative_error", relative_error)
    z = normal.isf(alpha / 2) + normal.ppf(power)
    return math.ceil(float(z) ** 2 * (1 - rate) / (rate * relative_error**2))


def distribution(values: Array, cdf: Callable[[Array], Array]) -> float:
    """Return the p-value of independent values against a declared continuous law (Kolmogorov-Smirnov, exact).

    Args:
        values: independent draws, at least one.
        cdf: the declared distribution function.
    """
    at = np.sort(cdf(np.asarray(values, dtype=float).ravel()))
    n, steps = at.size, np.arange(at.size + 1) / at.size
    distance = max(float((steps[1:] - at).max()), float((at - steps[:-1]).max()))
    return float(try_import("scipy.stats", extra="study").kstwo.sf(distance, n))


def scores(values: Array, cdf: Callable[[Array], Array]) -> float:
    """Return the p-value of mean and variance of independent values under a declared continuous law: exact.

    z = inverse normal of cdf(value) is standard normal if the law holds, so that the sum of z is normal and
    the sum of z**2 chi-square with n degrees of freedom, whatever the law was. An error of 3 % in a
    Gaussian's variance is 21 standard deviations at n = 10**6.

    Args:
        values: independent draws, at least one.
        cdf: the declared distribution function.
    """
    at = cdf(np.asarray(values, dtype=float).ravel())
    if not ((at > 0) & (at < 1)).all():
        return 0.0  # a value outside of the declared support
    z = try_import("scipy.special", extra="study").ndtri(at)
    return score_sums(float(z.sum()), float((z**2).sum()), z.size)


def score_sums(total: float, squares: float, n: int) -> float:
    """Return the p-value of `scores` from sums of z and z**2 of n values, if n is too large to keep."""
    stats = try_import("scipy.stats", extra="study")
    spread = stats.chi2(n)
    tail = min(spread.cdf(squares), spread.sf(squares))
    return joint([2 * stats.norm.sf(abs(total) / math.sqrt(n)), 2 * tail])


def pairs(coins: Array, lags: int = LAGS, spans: tuple[int, ...] | None = None) -> Iterator[Pairs]:
    """Yield how many coins agree with the one `lag` places further on, along every axis and at every lag.

    Pairs that share a coin would not be independent, so each coin serves in one pair only: along an axis the
    stretch of `lag` coins is paired with the next such stretch.

    Args:
        coins: bool, of any shape.
        lags: the largest lag, at least 1.
        spans: for each axis the distance from which coins are declared independent: 1 for independent coins,
            the side of a block for blocks, the length of an axis that has no two independent coins.
    """
    spans = spans or (1,) * coins.ndim
    if len(spans) != coins.ndim:
        raise DropkitError(
            "spans", f"has one number for each of {coins.ndim} axes", spans, "write 1 for independent"
        )
    for axis, span in enumerate(spans):
        thin = coins[tuple(slice(None, None, 1 if i == axis else s) for i, s in enumerate(spans))]
        lines = np.ascontiguousarray(np.moveaxis(thin, axis, 0)).reshape(thin.shape[axis], -1)
        for lag in range(span, min(lags, len(lines) - 1) + 1):
            first = _starts(len(lines) - lag, lag, span)
            agreeing = lines[first] == lines[first + lag]
            yield Pairs(axis, lag, int(agreeing.sum()), agreeing.size)


def agreement(coins: Array, rate: float, lags: int = LAGS, spans: tuple[int, ...] | None = None) -> float:
    """Return the p-value of independent coins: at every lag pairs agree with probability 1 - 2 rate (1 -
    rate), exactly.

    Args:
        coins: bool, of any shape; each is true with probability `rate`.
        rate: the probability of a coin, in [0, 1].
        lags: the largest lag.
        spans: as in `pairs`.

    >>> import numpy
    >>> agreement(numpy.arange(4096).reshape(64, 64) % 8 < 4, 0.5) < 1e-9
    True
    """
    found = list(pairs(coins, lags, spans))
    same = 1 - 2 * rate * (1 - rate)
    return binomial([pair.agreeing for pair in found], [pair.total for pair in found], same) if found else 1.0


def repeats(coins: Array, length: int = 64) -> float:
    """Return the p-value of fair coins in which some stretch came twice: an overlap of two streams, say.

    Args:
        coins: bool, `(streams, coins)`: each true with probability 1/2. All stretches are compared with all
            others, at every offset: n of them have at most n**2 / 2 coincidences of probability 2**-length
            each (union bound).
        length: of a stretch, 64 or 128: with 128 a billion stretches may be compared.

    Raises:
        DropkitError: the length is neither.
    """
    if length not in (64, 128):
        raise DropkitError("length", "is 64 or 128", length, "take 128 for more than 10**5 stretches")
    words = _words(coins)
    parts = [words.ravel()] if length == 64 else [words[..., :-64].ravel(), words[..., 64:].ravel()]
    order = np.lexsort(parts)
    repeated = np.logical_and.reduce([part[order][1:] == part[order][:-1] for part in parts]).any()
    return float(min(1.0, order.size**2 / 2 / 2.0**length)) if repeated else 1.0


def collisions(masks: Array, rate: float = 0.5) -> float:
    """Return the p-value of independent masks of which two are equal: n of them make n (n - 1) / 2 pairs, and
    each is equal with probability (1 - 2 rate (1 - rate))**draws (union bound).

    Args:
        masks: bool, `(masks, draws)`: each draw is true with probability `rate`.
        rate: the probability of a draw, in [0, 1].

    >>> import numpy
    >>> collisions(numpy.ones((3, 64), bool)) == 3 * 2.0**-64
    True
    """
    n, draws = masks.shape
    if len(set(map(bytes, np.packbits(masks, axis=1)))) == n:
        return 1.0
    return float(min(1.0, math.comb(n, 2) * (1 - 2 * rate * (1 - rate)) ** draws))


def _starts(count: int, lag: int, span: int) -> Array:
    """The first coins of disjoint pairs, of which no two lie closer together than `span`."""
    start = np.arange(count)
    place = start % (2 * lag)
    first: Array = start[(place % span == 0) & (place + span <= lag)]
    return first


def _words(coins: Array) -> Array:
    """Return every stretch of 64 neighbours of each stream as one number."""
    bits = np.asarray(coins, dtype=np.uint64)
    if bits.shape[-1] < _WORD:
        return np.zeros((*bits.shape[:-1], 0), dtype=np.uint64)
    # Doubling: a word of 2k bits is two words of k bits.
    length = 1
    while length < _WORD:
        bits = bits[..., :-length] << np.uint64(length) | bits[..., length:]
        length *= 2
    return bits
