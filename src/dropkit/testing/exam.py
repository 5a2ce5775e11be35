"""One examination: a subject, a key, and the draws that several checks look at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from dropkit.core import reference
from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.testing.declared import Declared
from dropkit.testing.registry import share
from dropkit.testing.stats import LAGS
from dropkit.testing.subject import Built, Subject

__all__ = [
    "RATES",
    "Exam",
    "NotApplicable",
    "Result",
    "Shape",
    "deviating",
    "far_apart",
    "following",
    "judge",
    "roundings",
]

RATES = 0.5, 0.1, 0.3, 0.7, 0.9
"""The rates at which every method is examined, beside two that follow from the exam's key."""

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_CALLS = LAGS + 2  # calls of each kind: enough for every lag
_GROUPS = 512  # with fewer groups in a call there are more calls,
_MOST = 660  # but not more than this
_ENTRIES = 2**20  # of an array that takes the place of many calls
_SINGLE = 1_000  # calls at most where one call has few draws and no array can have more
_FAR = 3_000  # calls far apart, at most
_CHANCE = 128  # addresses by chance of each kind
_TWINNED = 2  # rates at which draws are looked at that equal the reference's anyway


class NotApplicable(Exception):  # noqa: N818 - it is an answer, not an error
    """A check has nothing to look at; the text says why."""


class Result(NamedTuple):
    """What a check found: whether it holds, a figure with its bound, and a plain sentence."""

    passed: bool
    figure: float
    bound: float
    sentence: str


def roundings(error: Array, size: Array) -> float:
    """Return the largest error in roundings of float64 at the size of what was rounded."""
    with np.errstate(over="ignore"):  # an error where nothing is to be rounded is infinitely many
        return float((error / np.maximum(size * np.finfo(float).eps, np.finfo(float).tiny)).max())


def deviating(y: Array, exact: Array, name: str, size: Array) -> int:
    """Return how many entries are off by more than three roundings, and one more for another type."""
    # One rounding of m or of each of a x and b, one of their sum, one of the result.
    bound = 3 * (np.finfo(name).eps * size + float(np.finfo(name).smallest_subnormal))
    return int(y.dtype != name) + int((abs(y.astype(np.float64) - exact) > bound).sum())


def judge(test: str, p: float, sentence: str) -> Result:
    """Return the result of a registered statistical test: it fails where p falls below its share."""
    return Result(p >= share(test), p, share(test), sentence)


def far_apart(key: Key, by_chance: int) -> list[Key]:
    """Return a key and others that lie far from it: in its call, its word or its stream.

    Args:
        key: where to start.
        by_chance: how many of each kind are drawn from the key.
    """
    rng = np.random.default_rng([*key.words])
    near = [key]
    for name, bits, tens in (("call", 32, 10), ("word", 64, 20), ("stream", 32, 10)):
        start = getattr(key, name)
        steps = [*(2**i for i in range(bits)), *(10**i for i in range(tens))]
        moved = [(start + step) % 2**bits for step in steps]
        moved += [int(number) for number in rng.integers(2**bits, size=by_chance, dtype=np.uint64)]
        near += [replace(key, **{name: number}) for number in moved]
    return list(dict.fromkeys(near))


def following(key: Key, calls: int) -> list[Key]:
    """Return the keys of so many calls, from this one on."""
    return [replace(key, call=(key.call + i) % 2**32) for i in range(calls)]


@dataclass
class Exam:
    """A subject under a key."""

    subject: Subject
    key: Key
    samples: dict[float, Array] = field(default_factory=dict)

    @property
    def base(self) -> Shape:
        """The shape with many groups."""
        return self.subject.shapes.base

    def at(self, rate: float) -> Built:
        """Return the method at a rate."""
        return self.subject.at(rate)

    @cached_property
    def rates(self) -> tuple[float, ...]:
        """The rates of the exam: low, middle, high, and two that no list can know."""
        low, high = np.random.default_rng([*self.key.words]).random(2)
        return (*RATES, 0.1 + 0.4 * float(low), 0.5 + 0.4 * float(high))

    @property
    def twinned(self) -> bool:
        """Whether its draws are compared with the reference's bit for bit, and so need fewer statistics."""
        return self.subject.drop is not None and "key" not in self.subject.waived

    @property
    def sampled(self) -> tuple[float, ...]:
        """The rates at which many draws are looked at."""
        return self.rates[:_TWINNED] if self.twinned else self.rates

    @property
    def small(self) -> Shape:
        """A shape of moderate size with at least 66 groups, if any axis has draws of its own."""
        return self.subject.shapes.long[0] if self.subject.shapes.long else self.base

    @property
    def calls(self) -> int:
        """How many calls of each kind a sample has."""
        groups = self.declared(RATES[0], self.base).per_group(np.zeros(self.base)).size
        return min(_MOST, _CALLS * max(1, _GROUPS // groups))

    def declared(self, rate: float, shape: Shape) -> Declared:
        """Return what the method says of itself."""
        return self.subject.declare(rate, shape)

    def drop(self, rate: Any) -> Drop:
        """Return the description whose reference the masks must equal."""
        if self.subject.drop is None:
            raise NotApplicable("the method has a generator of its own")
        return self.subject.drop(rate)

    def factor(self, rate: float, shape: Shape, key: Key | None, mode: Any = "train", **place: Any) -> Array:
        """Return y for x = 1: the factor m, and b where there is one."""
        return self.at(rate).forward(np.ones(shape), key, mode, **place)

    def coins(self, rate: float, shape: Shape, key: Key | None, mode: Any = "train", **place: Any) -> Array:
        """Return which entries were dropped, or got less than the median of a continuous noise."""
        return self.declared(rate, shape).coins(self.factor(rate, shape, key, mode, **place))

    def expected(self, rate: float, shape: Shape, key: Key) -> Array:
        """Return the coins of the NumPy reference."""
        y = reference.apply(np.ones(shape), self.drop(rate), key)
        return self.declared(rate, shape).coins(y)

    def sample(self, rate: float) -> Array:
        """Return the factor of every group over many calls, `(kinds of keys, calls, *groups)`; drawn once.

        The kinds: another layer, another step, another seed. Neighbouring seeds and steps are what users
        have.
        """
        if rate not in self.samples:
            self.samples[rate] = np.stack([self._stack(rate, self.base, keys) for keys in self._kinds()])
        return self.samples[rate]

    def _kinds(self) -> tuple[list[Key], ...]:
        word, calls = self.key.word, range(self.calls)
        return (
            [self.key.fold(f"layer {i}") for i in calls],
            [self.key.fold("step", i) for i in calls],
            [Key((word + i) % 2**64) for i in calls],
        )

    def many(self, rate: float, draws: int) -> Iterator[Array]:
        """Yield the factor of independent groups, call by call, until there are so many draws.

        An array that is longer along an axis of independent draws takes the place of many calls.
        """
        shape = next(iter(self.grown(rate, draws)), self.base)
        declared = self.declared(rate, shape)
        for i in range(min(_SINGLE, math.ceil(draws / declared.draws))):
            yield declared.thin(declared.per_group(self.factor(rate, shape, self.key.fold("many", i))))

    def grown(self, rate: float, draws: int) -> list[Shape]:
        """Return the base shape made longer along each axis of independent draws in turn.

        It has at least so many draws then, unless it would become too large.
        """
        one = self.declared(rate, self.base).draws
        times = max(1, min(math.ceil(draws / one), _ENTRIES // math.prod(self.base)))
        shapes = [
            tuple(n * times if i == axis else n for i, n in enumerate(self.base))
            for axis in range(len(self.base))
        ]
        return [shape for shape in shapes if self.declared(rate, shape).draws == times * one]

    def far(self, draws: int) -> Array:
        """Return coins of rate 1/2 at addresses far apart, `(addresses, coins)`, at least so many at each.

        Calls, words and streams differ by powers of two and of ten, and, where there is no twin, by chance.
        Where a call has too few draws those of the next calls are added, and the first addresses must do.
        """
        declared = self.declared(0.5, self.small)
        calls = math.ceil(draws / declared.draws)
        firsts = far_apart(self.key.fold("far"), by_chance=0 if self.twinned or calls > 1 else _CHANCE)
        firsts = firsts[: (_SINGLE if self.twinned else _FAR) // calls]
        m = self._stack(0.5, self.small, [key for first in firsts for key in following(first, calls)])
        return declared.thin(declared.coins(m)).reshape(len(firsts), -1)

    def long_samples(self, rate: float) -> list[tuple[Declared, Array]]:
        """Return the factor of every group over many calls, once for each axis that can be long."""
        keys = [self.key.fold("long", i) for i in range(_CALLS)]
        shapes = self.subject.shapes.long
        return [(self.declared(rate, shape), self._stack(rate, shape, keys)) for shape in shapes]

    def _stack(self, rate: float, shape: Shape, keys: list[Key]) -> Array:
        declared, built = self.declared(rate, shape), self.at(rate)
        return np.stack([declared.per_group(built.forward(np.ones(shape), key)) for key in keys])
