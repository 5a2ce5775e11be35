"""Promises 5, 6 and 7: rates and moments, independence, and tests that do not cry wolf."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from dropkit import Drop, Key
from dropkit.core.groups import Groups
from dropkit.core.method import Method
from dropkit.methods import catalogue
from dropkit.testing import Declared, Subject, laws, of, shapes_for, stats
from dropkit.testing.exam import Exam, NotApplicable
from dropkit.testing.registry import share
from dropkit.testing.torch import torch_subject
from tools.prove.proof import Measured

__all__ = ["alarms", "independence", "law", "methods", "repeats"]

Array = np.ndarray[Any, Any]

_RATE = 0.3
_CHUNK = 2**20
_QUANTILES = np.arange(1, 16) / 16


def methods() -> list[Method]:
    """Return every method of the catalogue that a `Drop` describes."""
    return [method for method in catalogue().values() if method.describe]


def law(method: Method, draws: int = 10**8, key: int = 1_810_12890) -> Measured:
    """Draw until `draws` numbers have decided, and test the rate at every place, or law and moments."""
    subject = of(method, "torch")
    assert subject.drop is not None
    groups = subject.drop(_RATE).groups
    shape = shapes_for(groups, draws=_free(groups), shared=1).base
    declared = subject.declare(_RATE, shape)
    calls = math.ceil(draws / _draws(groups, shape))
    chunks = (subject.at(_RATE).forward(np.ones(shape), Key(key).fold(method.name, i)) for i in range(calls))
    if declared.law is None:
        return _rates(method.name, declared, chunks, calls)
    return _law(method.name, declared, chunks)


def independence(rate: float, key: int = 1_312_6197) -> Measured:
    """Test pairs at all lags up to 64 along three axes, over layers, steps, neighbouring seeds and ranks."""
    subject = torch_subject(Drop)
    base = Key(key)
    kinds = {
        "layers": [base.fold(f"layer {i}") for i in range(130)],
        "steps": [base.fold("step", i) for i in range(130)],
        "seeds": [Key(key + i) for i in range(130)],
        "ranks": [base.fold("step", 7).fold("rank", i) for i in range(130)],
    }
    p, pairs = 1.0, 0
    for keys in kinds.values():
        coins = np.stack([_dropped(subject, rate, (66, 68, 70), one) for one in keys[:2]])
        calls = np.stack([_dropped(subject, rate, (8192,), one) for one in keys])
        for sample in (coins[0], coins[1], calls):
            p = min(p, stats.agreement(sample, rate))
            pairs += sum(pair.total for pair in stats.pairs(sample))
    return _judged(
        "prove.independence", p * 3 * len(kinds), f"{pairs:,} pairs at rate {rate}, {', '.join(kinds)}"
    )


def repeats(key: int = 1_312_6197, streams: int = 512, length: int = 8192) -> Measured:
    """Look for a stretch of 128 decisions that came twice, at any offset of any two calls."""
    subject, base = torch_subject(Drop), Key(key)
    keys = [base.fold("step", i) if i % 2 else Key(key + i) for i in range(streams)]
    coins = np.stack([_dropped(subject, 0.5, (length,), one) for one in keys])
    return _judged("prove.independence", stats.repeats(coins, 128), f"{coins.size:,} stretches of 128 groups")


def alarms(seeds: int = 100, chosen: Sequence[Method] = ()) -> Measured:
    """Run the statistical checks of the contract alone on right methods under many seeds."""
    chosen = chosen or methods()
    runs = failures = 0
    for seed, method in itertools.product(range(seeds), chosen):
        exam = Exam(of(method, "torch"), Key(20_141).fold("alarms", seed))
        for check in (laws.rate_at_every_position, laws.law, laws.independence, laws.counts):
            with contextlib.suppress(NotApplicable):
                failures += not check(exam).passed
                runs += 1
    figure = f"{failures} failures in {runs:,} statistical checks ({seeds} seeds, {len(chosen)} methods)"
    return Measured(failures == 0, figure)


def _free(groups: Groups) -> int:
    """Return how many independent places make a call of about a million draws."""
    small = shapes_for(groups, draws=1, shared=1).base
    return max(1, _CHUNK // _draws(groups, small))


def _draws(groups: Groups, shape: tuple[int, ...]) -> int:
    """Return how many numbers decide about an array: more than it has groups where blocks have a margin."""
    return math.prod(groups.layout(shape).shape)


def _rates(name: str, declared: Declared, chunks: Iterator[Array], calls: int) -> Measured:
    free = tuple(axis for axis, span in enumerate(declared.own_spans) if span == 1)
    hits: Any = 0
    for y in chunks:
        coins = declared.per_group(declared.coins(y))
        hits = hits + coins.sum(axis=free, dtype=np.int64)
    draws = calls * coins.size // hits.size
    rate, places = (
        hits.sum() / draws / hits.size,
        "1 place" if hits.size == 1 else f"each of {hits.size} places",
    )
    found = f"{name}: rate {rate:.6f} for {declared.rate}, {draws:,} draws at {places}"
    return _judged("prove.rate", stats.binomial(hits, draws, declared.rate), found)


def _law(name: str, declared: Declared, chunks: Iterator[Array]) -> Measured:
    """Counts at the quantiles are binomial; sums of normal scores are normal and chi-square: all exact."""
    assert declared.law is not None
    from scipy.special import ndtri

    below, sums, draws = np.zeros(len(_QUANTILES), np.int64), np.zeros(2), 0
    moments = np.zeros(2)
    for y in chunks:
        m = declared.per_group(y).ravel()
        at = declared.law(m)
        z = ndtri(at)
        below += np.array([(at < q).sum() for q in _QUANTILES])
        sums += z.sum(), (z**2).sum()
        moments += m.sum(), ((m - 1) ** 2).sum()
        draws += m.size
    p = stats.joint(
        [stats.binomial(below, draws, _QUANTILES), stats.score_sums(float(sums[0]), float(sums[1]), draws)]
    )
    mean, variance = moments / draws
    wanted = _RATE / (1 - _RATE)
    found = f"{name}: mean {mean:.5f} for 1, variance {variance:.5f} for {wanted:.5f}, {draws:,} draws"
    return _judged("prove.rate", p, found)


def _dropped(subject: Subject, rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return np.asarray(subject.at(rate).forward(np.ones(shape), key) == 0)


def _judged(test: str, p: float, figure: str) -> Measured:
    p = min(p, 1.0)
    return Measured(p >= share(test), f"{figure}: p = {p:.2g}, bound {share(test):.1g}")
