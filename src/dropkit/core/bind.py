"""Pattern meets shape: which axis has which size, and so which group each entry belongs to."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dropkit.core.check import DropkitError, Whole, check_each
from dropkit.core.layout import Layout
from dropkit.core.pattern import ELLIPSIS, Axis, Parsed, PatternError

__all__ = ["WHOLE", "Shape", "Sizes", "Window", "bind", "opened", "strides"]

Shape = tuple[int, ...]
Sizes = tuple[tuple[str, int], ...]

_START = Whole(0, "give the place of the part's first entry in the whole array")
_EXTENT = Whole(0, "give the shape of the whole array")


@dataclass(frozen=True)
class Window:
    """The place of an array inside a larger one: a part gets the very mask that it has in the whole.

    Args:
        start: index of the part's first entry on each axis; axes left out start at 0.
        whole: shape of the whole array. It may be left out where only the leading axis starts elsewhere and
            that axis leads the group index, as in `"b ... -> b"`.

    Raises:
        DropkitError: a number is negative or not whole; at the first array, if it does not lie in the whole.

    >>> Window((128,)).start
    (128,)
    """

    start: tuple[int, ...] = ()
    whole: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", check_each("window.start", self.start, _START))
        if self.whole is not None:
            object.__setattr__(self, "whole", check_each("window.whole", self.whole, _EXTENT))


WHOLE = Window()
"""The array is no part of a larger one."""


class Bound(NamedTuple):
    """One axis after brackets are opened: its name, its size, and the array's axis that it comes from."""

    name: str
    size: int
    source: int


@functools.lru_cache(maxsize=4096)
def bind(parsed: Parsed, sizes: Sizes, shape: Shape) -> tuple[Bound, ...]:
    """Give every axis of the pattern its size.

    Raises:
        PatternError: rank or size of an axis does not fit.

    >>> from dropkit.core.pattern import parse
    >>> [axis.size for axis in bind(parse("b (h d)"), (("h", 4),), (2, 12))]
    [2, 4, 3]
    """
    known = dict(sizes)
    bound: list[Bound] = []
    for source, axes in _pair(parsed, shape):
        if axes[0].name == ELLIPSIS:
            bound.append(Bound(f"{ELLIPSIS}{source}", shape[source], source))
        else:
            split = _divide(parsed.text, axes, shape[source], known)
            bound += [Bound(axis.label, size, source) for axis, size in zip(axes, split, strict=True)]
    return tuple(bound)


def opened(bound: tuple[Bound, ...], walk: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of the axes after brackets are opened, of an array with these strides.

    >>> from dropkit.core.pattern import parse
    >>> opened(bind(parse("b (h d)"), (("h", 4),), (2, 12)), (12, 1))
    (12, 3, 1)
    """
    step = list(walk)
    found = []
    for axis in reversed(bound):
        found.append(step[axis.source])
        step[axis.source] *= axis.size
    return tuple(reversed(found))


@functools.lru_cache(maxsize=4096)
def strides(parsed: Parsed, sizes: Sizes, shape: Shape, window: Window = WHOLE, grow: Sizes = ()) -> Layout:
    """Return the layout of the draws: row-major over the right-hand side, as seen in the whole array.

    `grow` adds entries to axes, by name: the margin of a seed map.

    Raises:
        DropkitError: the shape does not fit the pattern, or the window does not fit the shape.

    >>> from dropkit.core.pattern import parse
    >>> strides(parse("b t d -> b d"), (), (2, 3, 4))
    Layout(sizes=(2, 3, 4), strides=(4, 0, 1), base=0)
    """
    bound = bind(parsed, sizes, shape)
    margin = dict(grow)
    starts, wholes = _starts(parsed, bound, shape, window)
    step = 1
    by_name: dict[str, int] = {}
    for axis in reversed(_order(parsed, bound)):
        by_name[axis.name] = step
        step *= wholes[axis] + margin.get(axis.name, 0)
    extent = tuple(axis.size + margin.get(axis.name, 0) for axis in bound)
    stride = tuple(by_name.get(axis.name, 0) for axis in bound)
    base = sum(starts[axis] * by_name.get(axis.name, 0) for axis in bound)
    return Layout(extent, tuple(s if n > 1 else 0 for s, n in zip(stride, extent, strict=True)), base)


def _pair(parsed: Parsed, shape: Shape) -> list[tuple[int, tuple[Axis, ...]]]:
    """Pair each axis of the array with its part of the pattern; `...` takes what the others leave."""
    items = list(parsed.left)
    dots = next((i for i, axes in enumerate(items) if axes[0].name == ELLIPSIS), None)
    if dots is not None:
        items[dots : dots + 1] = [items[dots]] * (len(shape) - len(items) + 1)
    if len(items) != len(shape):
        least = "at least " if dots is not None else ""
        wanted = len(parsed.left) - (dots is not None)
        rule = f"has {least}{wanted} axes but the array has {len(shape)}, {shape}"
        raise PatternError(parsed.text, 0, rule, "name every axis, or write '...' for the rest")
    return list(enumerate(items))


def _divide(text: str, axes: tuple[Axis, ...], whole: int, known: Mapping[str, int]) -> list[int]:
    """Return the sizes of the axes that one axis of the array is split into."""
    sizes = [axis.size if axis.size is not None else known.get(axis.name or "") for axis in axes]
    unknown = [axis for axis, size in zip(axes, sizes, strict=True) if size is None]
    if len(unknown) > 1:
        mend = f"give one by name, e.g. {unknown[-1].name}=4"
        raise PatternError(text, unknown[-1].at, "leaves one size open in a pair of brackets", mend)
    given = math.prod(size for size in sizes if size is not None)
    fits = whole % given == 0 if unknown else whole == given
    if not fits:
        mend = "correct the size, or the array"
        raise PatternError(text, axes[0].at, f"does not fit an axis of {whole} entries", mend)
    return [whole // given if size is None else size for size in sizes]


def _order(parsed: Parsed, bound: tuple[Bound, ...]) -> list[Bound]:
    """The axes with coins of their own, in the order of the group index."""
    return [axis for name in parsed.right for axis in bound if _goes_by(axis, name)]


def _goes_by(axis: Bound, name: str) -> bool:
    return axis.name == name or (name == ELLIPSIS and axis.name.startswith(ELLIPSIS))


def _starts(
    parsed: Parsed, bound: tuple[Bound, ...], shape: Shape, window: Window
) -> tuple[dict[Bound, int], dict[Bound, int]]:
    """Return where each axis starts in the whole array, and how large it is there."""
    if len(window.start) > len(shape):
        rule = f"has at most {len(shape)} axes"
        raise DropkitError("window.start", rule, window.start, "leave the rest out")
    start = window.start + (0,) * (len(shape) - len(window.start))
    whole = _whole(parsed, bound, shape, start, window)
    parts = [axis.source for axis in bound]
    for axis in bound:
        i = axis.source
        if parts.count(i) > 1 and (start[i], whole[i]) != (0, shape[i]):
            rule = f"leaves axes whole that {parsed.text!r} splits"
            raise DropkitError("window", rule, window, "cut along another axis")
    split = {axis for axis in bound if parts.count(axis.source) > 1}
    starts = {axis: start[axis.source] for axis in bound}
    return starts, {axis: axis.size if axis in split else whole[axis.source] for axis in bound}


def _whole(
    parsed: Parsed, bound: tuple[Bound, ...], shape: Shape, start: tuple[int, ...], window: Window
) -> tuple[int, ...]:
    if window.whole is not None:
        fits = len(window.whole) == len(shape)
        if not fits or any(i + n > w for i, n, w in zip(start, shape, window.whole, strict=True)):
            rule = f"holds the part {shape} at {start}"
            raise DropkitError("window.whole", rule, window.whole, "give the shape of the whole array")
        return window.whole
    order = _order(parsed, bound)
    leads = not order or order[0].source == 0 or all(axis.source != 0 for axis in order)
    if any(start[1:]) or (start[:1] > (0,) and not leads):
        rule = "needs whole= where more than a leading axis that leads the group index starts elsewhere"
        raise DropkitError("window", rule, window, "give the shape of the whole array as whole=")
    return tuple(n + i for n, i in zip(shape, start, strict=True))
