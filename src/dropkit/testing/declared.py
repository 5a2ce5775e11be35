"""What a method says of itself: the law of its draws, and which entries share them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dropkit.core import noise, reference
from dropkit.core.bind import bind
from dropkit.core.check import try_import
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, Groups, KofN
from dropkit.core.pattern import ELLIPSIS

__all__ = ["Declared", "Law", "Shapes", "shapes_for"]

Array = np.ndarray[Any, Any]
Law = Callable[[Array], Array]

_CLOSE = 2.0**-7  # wide enough for float16, whose last bit is 2**-11


@dataclass(frozen=True)
class Declared:
    """What a method is to do at one rate to an array of one shape.

    Args:
        rate: the probability that an entry is dropped; where `law` is given, only the name of its variance.
        split: the shape with axes split as the groups split them; most methods leave it as it is.
        spans: for each axis of `split` the distance from which draws are independent: 0 where the axis shares
            its draws, 1 for independent draws, the side of a block for blocks, the length of the axis where
            no two draws are independent.
        scale: a kept entry becomes scale x + shift.
        shift: see `scale`.
        fill: what a dropped entry becomes.
        factor: the eval map is y = factor x.
        law: the distribution function of m, for a noise that drops nothing outright.
    """

    rate: float
    split: tuple[int, ...]
    spans: tuple[int, ...]
    scale: float = 1.0
    shift: float = 0.0
    fill: float = 0.0
    factor: float = 1.0
    law: Law | None = None

    @classmethod
    def of(cls, drop: Drop, shape: tuple[int, ...]) -> Declared:
        """Return what a description declares."""
        rate = float(reference.entry_rate(drop, shape))
        split, spans = drop.groups.split(shape), _spans(drop.groups, shape)
        factor = float(drop.noise.eval_factor(rate, drop.scale))
        if isinstance(drop.noise, noise.TwoPoint):
            scale, shift, fill = map(float, drop.noise.affine(rate, drop.scale))
            return cls(rate, split, spans, scale, shift, fill, factor)
        return cls(rate, split, spans, factor=factor, law=_LAWS[drop.noise.name](rate))

    @property
    def own_spans(self) -> tuple[int, ...]:
        """The spans of the axes with draws of their own."""
        return tuple(span for span in self.spans if span)

    @property
    def draws(self) -> int:
        """How many independent draws one array has."""
        return math.prod(-(-n // span) for n, span in zip(self.split, self.spans, strict=True) if span)

    def thin(self, groups: Array) -> Array:
        """Return those groups whose draws are independent, of an array whose last axes are the groups."""
        apart: Any = (..., *(slice(None, None, span) for span in self.own_spans))
        return np.asarray(groups[apart])

    def per_group(self, entries: Array) -> Array:
        """Return one entry of each group: the axes that share are cut to their first place."""
        cut = tuple(slice(None) if span else 0 for span in self.spans)
        return entries.reshape(self.split)[cut]

    def median(self) -> float:
        """Return the probability of a coin: that an entry is dropped, or that m lies below its median."""
        return self.rate if self.law is None else 0.5

    def coins(self, m: Array, x: float = 1.0) -> Array:
        """Return a coin for each output m of x: whether it was dropped, or m lies below its median."""
        if self.law is not None:
            return np.asarray(self.law(m) < 0.5)
        # Close to the dropped value, and not merely closer to it: a wrong scale must not pass for a drop.
        return abs(m - self.fill) <= _CLOSE * abs(self.scale * x + self.shift - self.fill)


class Shapes(NamedTuple):
    """Shapes to examine a method at.

    Args:
        base: many groups, short axes: for the rate at every position.
        long: for each axis with draws of its own a shape in which it is long, so that it has all lags up to
            64.
    """

    base: tuple[int, ...]
    long: tuple[tuple[int, ...], ...]


def shapes_for(groups: Groups, draws: int = 512, length: int = 66, shared: int = 2) -> Shapes:
    """Return shapes that suit a rule for groups.

    Args:
        groups: the rule.
        draws: how many independent groups the base shape has at least.
        length: the length of a long axis.
        shared: the length of an axis that shares its draws.

    >>> from dropkit import Pattern
    >>> shapes_for(Pattern("b t d -> b d"))
    Shapes(base=(23, 2, 23), long=((66, 2, 4), (4, 2, 66)))
    """
    spans = _named_spans(groups)
    free = [name for name, span in spans.items() if span == 1]
    side = math.ceil(draws ** (1 / max(len(free), 1)))
    small = {name: _small(span, shared, 4) for name, span in spans.items()}
    base = _shape(groups, {name: _small(span, shared, side) for name, span in spans.items()})
    own = [name for name, span in spans.items() if span]
    return Shapes(base, tuple(_shape(groups, small | {name: length}) for name in own))


def _small(span: int, shared: int, free: int) -> int:
    """A block axis has room for a corner, an edge and a centre."""
    return shared if span == 0 else free if span == 1 else span + 2


def _shape(groups: Groups, sizes: dict[str, int]) -> tuple[int, ...]:
    known = dict(groups.sizes)
    return tuple(
        math.prod(axis.size or known.get(axis.name or "") or sizes[axis.label] for axis in axes)
        for axes in groups.parsed.left
    )


def _named_spans(groups: Groups) -> dict[str, int]:
    right = groups.parsed.right
    return {name: _span(groups, name) if name in right else 0 for name in groups.parsed.labels}


def _span(groups: Groups, name: str) -> int:
    if isinstance(groups, Blocks):
        return groups.sides.get(name, 1)
    # Which of the n fall depends on all of them: no two places along this axis are independent.
    return max(8, groups.k or 0) if isinstance(groups, KofN) and name == groups.over else 1


def _spans(groups: Groups, shape: tuple[int, ...]) -> tuple[int, ...]:
    named = _named_spans(groups)
    axes = bind(groups.parsed, tuple(dict(groups.sizes).items()), shape)
    counted = groups.over if isinstance(groups, KofN) else None
    return tuple(axis.size if axis.name == counted else named[_label(axis.name)] for axis in axes)


def _label(name: str) -> str:
    return ELLIPSIS if name.startswith(ELLIPSIS) else name


def _gaussian(rate: float) -> Law:
    normal = try_import("scipy.special", extra="study").ndtr
    return lambda m: np.asarray(normal((m - 1) / math.sqrt(rate / (1 - rate))))


def _uniform(rate: float) -> Law:
    def cdf(m: Array) -> Array:
        half = math.sqrt(3 * rate / (1 - rate))
        return np.clip((m - 1 + half) / (2 * half), 0, 1)

    return cdf


# Written down once more, and not taken from core: what is examined cannot be its own judge.
_LAWS: dict[str, Callable[[float], Law]] = {"gaussian": _gaussian, "uniform": _uniform}
