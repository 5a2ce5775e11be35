"""One examination: a subject, a key, and the draws that several checks look at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
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

__all__ = ["RATES", "Exam", "NotApplicable", "Result", "judge", "roundings"]

RATES = 0.5, 0.1, 0.3, 0.7, 0.9
"""The rates at which every method is examined, beside two that follow from the exam's key."""

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]

_CALLS = LAGS + 2  # calls of each kind: enough for every lag
_GROUPS = 512  # with fewer groups in a call there are more calls,
_MOST = 660  # but not more than this
_ENTRIES = 2**20  # of an array that takes the place of many calls
_SINGLE = 1_000  # calls at most where one call has few draws and no array can have more
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


def judge(test: str, p: float, sentence: str) -> Result:
    """Return the result of a registered statistical test: it fails where p falls below its share."""
    return Result(p >= share(test), p, share(test), sentence)


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
        shape = self._grown(rate, draws)
        declared = self.declared(rate, shape)
        for i in range(min(_SINGLE, math.ceil(draws / declared.draws))):
            yield declared.thin(declared.per_group(self.factor(rate, shape, self.key.fold("many", i))))

    def _grown(self, rate: float, draws: int) -> Shape:
        base, one = self.base, self.declared(rate, self.base).draws
        times = max(1, min(math.ceil(draws / one), _ENTRIES // math.prod(base)))
        for axis in range(len(base)):
            shape = tuple(n * times if i == axis else n for i, n in enumerate(base))
            if self.declared(rate, shape).draws == times * one:
                return shape
        return base

    def long_samples(self, rate: float) -> list[tuple[Declared, Array]]:
        """Return the factor of every group over many calls, once for each axis that can be long."""
        keys = [self.key.fold("long", i) for i in range(_CALLS)]
        shapes = self.subject.shapes.long
        return [(self.declared(rate, shape), self._stack(rate, shape, keys)) for shape in shapes]

    def _stack(self, rate: float, shape: Shape, keys: list[Key]) -> Array:
        declared = self.declared(rate, shape)
        return np.stack([declared.per_group(self.factor(rate, shape, key)) for key in keys])
