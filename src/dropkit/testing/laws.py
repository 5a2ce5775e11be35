"""Checks of the law: rate, moments, mean, independence. What is random is judged by exact tests alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropkit.core import rate as rates
from dropkit.core.check import try_import
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, Pattern
from dropkit.core.noise import TwoPoint
from dropkit.testing import stats
from dropkit.testing.declared import Declared
from dropkit.testing.exam import RATES, Exam, NotApplicable, Result, judge, roundings
from dropkit.testing.registry import share

__all__ = ["independence", "law", "mean", "planted", "rate_at_every_position", "values"]

Array = np.ndarray[Any, Any]

_ULP = 2.0**-52
# Fair coins of a call whose repetition is looked for: more of them would need words of more than 64 bits.
_STRETCH = 512


def rate_at_every_position(exam: Exam) -> Result:
    """Every place is dropped as often as declared: corner, edge and centre, each place along each axis."""
    if exam.declared(0.5, exam.base).law is not None:
        raise NotApplicable("the noise drops nothing outright; its law is examined instead")
    tests = [p for rate in RATES for p in _rates(exam, rate)]
    hits, draws = _positions(exam, 0.5)
    seen = _resolution(0.5, draws, share("contract.rate") / (len(tests) * hits.size))
    sentence = f"rates at every position over {draws} draws each: power 0.99 against an error of {seen:.1%}"
    return judge("contract.rate", stats.joint(tests), sentence)


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
    worst = max(_value_error(exam, rate, x) for rate in (*RATES, 0.3) for x in (0.0, 1.0, -2.0))
    return Result(worst <= 2, worst, 2, f"outputs lie within {worst:.1f} ulp of the two declared values")


def law(exam: Exam) -> Result:
    """The factor has the declared law, and so the declared mean and variance."""
    if exam.declared(0.5, exam.base).law is None:
        raise NotApplicable("the noise takes two values, which are examined instead")
    tests, draws = [], 0
    for rate in RATES:
        cdf, sample = exam.declared(rate, exam.base).law, exam.sample(rate)
        assert cdf is not None
        tests += [stats.distribution(sample, cdf), stats.scores(sample, cdf)]
        draws += sample.size
    sentence = f"law, mean and variance of the factor over {draws} draws"
    return judge("contract.moments", stats.joint(tests), sentence)


def mean(exam: Exam) -> Result:
    """The expected output equals the output of evaluation."""
    error = max(_mean_error(exam, rate) for rate in RATES)
    return Result(error <= 4, error, 4, f"mean in training and output in eval differ by {error:.1f} ulp")


def independence(exam: Exam) -> Result:
    """Pairs of groups agree as independent ones do, at all lags, along axes, over layers, steps and seeds."""
    declared = exam.declared(0.5, exam.base)
    coins = declared.coins(exam.sample(0.5))
    tests = [_agreement(declared, kind) for kind in coins]
    tests += [_agreement(long, long.coins(sample)) for long, sample in exam.long_samples(0.5)]
    thin = coins[(slice(None), slice(None), *(slice(None, None, span) for span in declared.own_spans))]
    tests.append(stats.repeats(thin.reshape(coins.shape[0] * coins.shape[1], -1)[:, :_STRETCH]))
    sentence = f"pairs at all lags up to {stats.LAGS} along axes, layers, steps, seeds; no stretch twice"
    return judge("contract.independence", stats.joint(tests), sentence)


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
    x = (
        0.0 if declared.shift else 1.0
    )  # a noise with an offset keeps the mean of standardised inputs, which is 0
    y = exam.at(rate).forward(np.full(exam.base, x), exam.key)
    gone = exam.coins(rate, exam.base, exam.key)
    if gone.all() or not gone.any():
        raise NotApplicable("one call dropped all or nothing")
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
