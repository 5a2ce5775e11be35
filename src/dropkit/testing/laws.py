"""Checks of the law: rate, moments, mean, independence. What is random is judged by exact tests alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from dropkit.core import rate as rates
from dropkit.core.check import try_import
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, Pattern
from dropkit.core.noise import TwoPoint
from dropkit.testing import stats
from dropkit.testing.declared import Declared
from dropkit.testing.exam import Exam, NotApplicable, Result, judge, roundings
from dropkit.testing.registry import share

__all__ = [
    "counts",
    "independence",
    "law",
    "mean",
    "planted",
    "rate_at_every_position",
    "repetition",
    "values",
]

Array = np.ndarray[Any, Any]

_ULP = 2.0**-52
_LONG, _SHORT = 128, 64  # stretches of fair coins; the short ones for calls that have no long one
_ROW = 2**17 + 3  # coins of one call, beyond any size at which generators are called again
_STRETCH = 4 * _LONG  # coins of a call in which a stretch is looked for
_ERROR = 0.03  # of the rarer of dropping and keeping, to be seen with power 0.99 at each rate:
_POWER = 0.995  # the plan knows the variance of the declared rate alone, so it takes a little more
_SEEDS = 256  # draws after which an outcome of probability 0.1 is missing with probability 2e-12


def rate_at_every_position(exam: Exam) -> Result:
    """Every place is dropped as often as declared: corner, edge and centre, each place along each axis."""
    if exam.declared(0.5, exam.base).law is not None:
        raise NotApplicable("the noise drops nothing outright; its law is examined instead")
    tests = [p for rate in exam.sampled for p in _rates(exam, rate)]
    sentences = []
    if not exam.twinned:
        alpha = share("contract.rate") / (len(tests) + len(exam.rates))
        pooled = [_pooled(exam, rate, alpha) for rate in exam.rates]
        tests += [p for p, _ in pooled]
        powers = ", ".join(
            f"{power:.3f} at {rate:.3g}" for rate, (_, power) in zip(exam.rates, pooled, strict=True)
        )
        sentences = [f"power against {_ERROR:.0%} of the rarer outcome: {powers}"]
    hits, draws = _positions(exam, 0.5)
    seen = _resolution(0.5, draws, share("contract.rate") / (len(tests) * hits.size))
    sentences += [f"at every position over {draws} draws each: power 0.99 against {seen:.1%} at 0.5"]
    return judge("contract.rate", stats.joint(tests), "; ".join(sentences))


def planted(exam: Exam) -> Result:
    """A rate equal to a group's own u keeps it, one step of 2**-32 above drops it, and it alone."""
    drop = exam.drop(0.5)
    if not isinstance(drop.noise, TwoPoint) or not isinstance(drop.groups, Pattern | Blocks):
        raise NotApplicable("its draws are not compared with a threshold of their own")
    shape = exam.small
    wrong = sum(_planted_wrong(exam, shape, below, above) for below, above in _plants(exam, drop, shape))
    return Result(wrong == 0, wrong, 0, f"{wrong} groups on the wrong side of a threshold planted at their u")


def values(exam: Exam) -> Result:
    """A kept entry becomes scale x + shift and a dropped one the declared value, to the last two bits."""
    if exam.declared(0.5, exam.base).law is not None:
        raise NotApplicable("the noise has a continuous law")
    worst = max(_value_error(exam, rate, x) for rate in exam.rates for x in (0.0, 1.0, -2.0))
    return Result(worst <= 2, worst, 2, f"outputs lie within {worst:.3g} ulp of the two declared values")


def law(exam: Exam) -> Result:
    """The factor has the declared law, and so the declared mean and variance."""
    if exam.declared(0.5, exam.base).law is None:
        raise NotApplicable("the noise takes two values, which are examined instead")
    tests, draws = [], []
    for rate in exam.sampled:
        cdf, sample = exam.declared(rate, exam.base).law, _law_sample(exam, rate)
        assert cdf is not None
        tests += [stats.distribution(sample, cdf), stats.scores(sample, cdf)]
        draws.append(sample.size)
    sentence = f"law, mean and variance of the factor at {len(draws)} rates over {min(draws)} draws or more"
    return judge("contract.moments", stats.joint(tests), sentence)


def mean(exam: Exam) -> Result:
    """The expected output equals the output of evaluation."""
    error = max(_mean_error(exam, rate) for rate in exam.rates)
    return Result(error <= 4, error, 4, f"mean in training and output in eval differ by {error:.3g} ulp")


def independence(exam: Exam) -> Result:
    """Pairs of groups agree as independent ones do, at all lags, along axes, over layers, steps and seeds."""
    examined = exam.rates[:1] if exam.twinned else exam.rates
    tests = [p for rate in examined for p in _pairs(exam, rate)]
    lags = f"pairs at all lags up to {stats.LAGS}"
    sentence = f"{lags} along axes, layers, steps, seeds at {len(examined)} rates"
    return judge("contract.independence", stats.joint(tests), sentence)


def repetition(exam: Exam) -> Result:
    """No draws come twice: not in one long call, in neighbouring calls, or at addresses far apart.

    Measured over 40 exams of a method with 264 draws a call: a period of 101, 997 or 4,999 calls is seen in
    all of them, seeds that are cut to 16 bits in 36, a period of 10,007 calls in 22.
    """
    declared = exam.declared(0.5, exam.base)
    near = declared.thin(declared.coins(exam.sample(0.5)))
    long, far = [_coins_in_a_row(exam, shape) for shape in exam.grown(0.5, _ROW)], exam.far(_SHORT)
    tests = [_repeats(near.reshape(near.shape[0] * near.shape[1], -1)), stats.collisions(far)]
    tests += [stats.repeats(row, _LONG) for row in long]
    sentence = (
        f"no mask twice at {len(far)} addresses far apart; no stretch of draws twice in {near.size:,} of "
        f"neighbouring calls or in {max((row.size for row in long), default=near[0, 0].size):,} of one call"
    )
    return judge("contract.repeats", stats.joint(tests), sentence)


def counts(exam: Exam) -> Result:
    """Counts of dropped groups spread as a binomial does: over calls, and along every axis.

    What drops exactly k of n has the right rate, and its pairs differ by 1 / (n - 1) alone.
    """
    found = [spread for rate in exam.sampled for spread in _spreads(exam, rate)]
    inside, of, expected = found[0]
    sentence = (
        f"counts along axes and of whole calls at {len(exam.sampled)} rates: of {of} calls at rate "
        f"{exam.sampled[0]} {inside} had a count in the central half, where {expected:.0f} are expected"
    )
    tests = [stats.binomial(inside, of, expected / of) for inside, of, expected in found]
    return judge("contract.counts", stats.joint(tests), sentence)


def _pairs(exam: Exam, rate: float) -> list[float]:
    declared = exam.declared(rate, exam.base)
    tests = [_agreement(declared, kind) for kind in declared.coins(exam.sample(rate))]
    return tests + [_agreement(long, long.coins(sample)) for long, sample in exam.long_samples(rate)]


def _coins_in_a_row(exam: Exam, shape: tuple[int, ...]) -> Array:
    declared = exam.declared(0.5, shape)
    m = declared.per_group(exam.factor(0.5, shape, exam.key))
    return declared.thin(declared.coins(m)).reshape(1, -1)


def _repeats(coins: Array) -> float:
    """Return the p-value of no stretch that came twice, chosen so that chance cannot make one."""
    if coins.shape[1] < _LONG:
        return stats.repeats(coins[:, :_SHORT], _SHORT)
    return stats.repeats(coins[:, :_STRETCH], _LONG)


def _spreads(exam: Exam, rate: float) -> Iterator[tuple[int, int, float]]:
    """Yield how many counts lie in the central half, of how many, and how many should; of calls first."""
    declared = exam.declared(rate, exam.base)
    coins = declared.thin(declared.coins(exam.sample(rate)))
    calls = tuple(range(2, coins.ndim))
    for axes in (calls, *((axis,) for axis in range(1, coins.ndim))):
        yield stats.central(coins.sum(axis=axes), math.prod(coins.shape[i] for i in axes), declared.median())


def _agreement(declared: Declared, coins: Array) -> float:
    """Return the p-value of pairs over many calls, `(calls, *groups)`: the calls are one more axis."""
    return stats.agreement(coins, declared.median(), spans=(1, *declared.own_spans))


def _positions(exam: Exam, rate: float) -> tuple[Array, int]:
    """Return how often each place was dropped over all that is independent of it, and of how many draws."""
    declared = exam.declared(rate, exam.base)
    coins = declared.coins(exam.sample(rate))
    free = (0, 1, *(axis + 2 for axis, span in enumerate(declared.own_spans) if span == 1))
    hits = coins.sum(axis=free)
    return hits, coins.size // max(hits.size, 1)


def _rates(exam: Exam, rate: float) -> list[float]:
    """Return one p-value for the places together, and one for each axis whose places could differ."""
    declared = exam.declared(rate, exam.base)
    coins = declared.coins(exam.sample(rate))
    tests = [stats.binomial(*_positions(exam, rate), declared.rate)]
    first = (slice(None) if span == 1 else 0 for span in declared.own_spans)
    corner = coins[(slice(None), slice(None), *first)]
    for axis in range(2, corner.ndim):
        along = corner.sum(axis=tuple(i for i in range(corner.ndim) if i != axis))
        tests.append(stats.binomial(along, corner.size // len(along), declared.rate))
    return tests


def _pooled(exam: Exam, rate: float, alpha: float) -> tuple[float, float]:
    """Return the p-value of a rate over all places together, and its power against `_ERROR` either way."""
    rarer = min(rate, 1 - rate)
    hits, draws, wanted = 0, 0, stats.groups_needed(rarer, _ERROR, alpha, _POWER)
    declared = exam.declared(rate, exam.base)
    for m in exam.many(rate, wanted):
        hits, draws = hits + int(declared.coins(m).sum()), draws + m.size
    power = min(stats.power(rarer, rarer * (1 + error), draws, alpha) for error in (_ERROR, -_ERROR))
    return stats.binomial(hits, draws, declared.rate), power


def _law_sample(exam: Exam, rate: float) -> Array:
    """Return draws of a continuous factor: for a stranger enough to see `_ERROR` in its variance."""
    if exam.twinned:
        return exam.sample(rate)
    # The sum of n squared scores has variance 2 n, a count of n fair coins n / 4: 8 times that of its mean.
    alpha = share("contract.moments") / (4 * len(exam.rates))
    return np.concatenate(
        list(exam.many(rate, 2 * stats.groups_needed(0.5, _ERROR, alpha, _POWER))), axis=None
    )


def _resolution(rate: float, draws: int, alpha: float) -> float:
    """Return the relative error that is seen with power 0.99."""
    return math.sqrt(stats.groups_needed(rate, 1.0, alpha, 0.99) / draws)


def _plants(exam: Exam, drop: Drop, shape: tuple[int, ...]) -> list[tuple[float, float]]:
    """Return pairs of rates, one at a group's u and one a step above."""
    groups = drop.groups
    layout = groups.layout(shape)
    u = np.sort(layout.uniform(np, exam.key.words).ravel())
    n = math.prod(groups.sides.values()) if isinstance(groups, Blocks) else 1
    # Where blocks overlap, only the first seed to fall can be seen alone.
    chosen = u[:1] if n > 1 else u[sorted({0, len(u) // 3, len(u) // 2, len(u) - 1})]
    return [(_rate_of(int(word), n), _rate_of(int(word) + 1, n)) for word in chosen]


def _rate_of(word: int, n: int) -> float:
    """Return the rate whose threshold is this word, where n coins together make the rate."""
    rate = word / rates.ONE if n == 1 else -math.expm1(n * math.log1p(-word / rates.ONE))
    assert rates.threshold(rates.root(rate, n, np), np) == word
    return rate


def _planted_wrong(exam: Exam, shape: tuple[int, ...], below: float, above: float) -> int:
    found = [exam.coins(rate, shape, exam.key) for rate in (below, above)]
    wanted = [exam.expected(rate, shape, exam.key) for rate in (below, above)]
    assert (wanted[0] != wanted[1]).any()
    return int(sum((a != b).sum() for a, b in zip(found, wanted, strict=True)))


def _value_error(exam: Exam, rate: float, x: float) -> float:
    declared = exam.declared(rate, exam.base)
    y = exam.at(rate).forward(np.full(exam.base, x), exam.key)
    kept = declared.scale * x + declared.shift
    size = max(abs(declared.scale * x) + abs(declared.shift), abs(declared.fill))
    return roundings(np.minimum(abs(y - kept), abs(y - declared.fill)), np.array(size))


def _mean_error(exam: Exam, rate: float) -> float:
    """Return the difference in ulp, from the values that were seen and the declared probabilities."""
    declared = exam.declared(rate, exam.base)
    if declared.law is not None:
        return _law_mean_error(declared)
    # A noise with an offset keeps the mean of standardised inputs, which is 0.
    x = 0.0 if declared.shift else 1.0
    keys = [exam.key.fold("mean", i) for i in range(math.ceil(_SEEDS / declared.draws))]
    y = np.stack([exam.at(rate).forward(np.full(exam.base, x), key) for key in keys])
    gone = declared.coins(y, x)
    if gone.all() or not gone.any():
        return math.inf  # of that many draws at a declared rate some are dropped and some kept
    train = (1 - declared.rate) * _middle(y[~gone]) + declared.rate * _middle(y[gone])
    evaluated = exam.at(rate).forward(np.full(exam.base, x), exam.key, "eval")
    return abs(train - _middle(evaluated)) / (max(abs(float(y.max())), abs(float(y.min()))) * _ULP)


def _middle(y: Array) -> float:
    """Return the one value of an array, or what lies between its extremes: a mean would round."""
    return (float(y.min()) + float(y.max())) / 2


def _law_mean_error(declared: Declared) -> float:
    """Return how far E[m], the integral of 1 - cdf above 0 less that of cdf below 0, is from the declared."""
    quad, cdf = try_import("scipy.integrate", extra="study").quad, declared.law
    assert cdf is not None
    above, error_above = quad(lambda m: 1 - float(cdf(np.asarray(m))), 0, 60, limit=400, points=(1.0, 2.0))
    below, error_below = quad(lambda m: float(cdf(np.asarray(m))), -60, 0, limit=400)
    return float(abs(above - below - declared.factor) / (error_above + error_below + 8 * _ULP))
