"""Sizes that are unknown until a function runs, among the numbers of a shape."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.pattern import ELLIPSIS
from dropkit.core.rate import PerAxis

__all__ = ["Extents"]

_PRIMES = 1048583, 1048589, 1048601, 1048609, 1048613, 1048627, 1048633, 1048661, 1048681, 1048703, 1048709


class Extents:
    """The shape of a tensor in which an unknown size stands as a prime.

    The core multiplies sizes, and nothing else, so what it makes of them can be taken apart again.

    Raises:
        DropkitError: the number of axes is unknown, or a size that has to be known.
    """

    def __init__(self, x: Any, description: Drop, window: Window = WHOLE) -> None:
        if x.shape.rank is None:
            mend = "tell its shape, e.g. x = tf.ensure_shape(x, (None, 128))"
            raise DropkitError("x", "has a known number of axes", x.shape, mend)
        sizes: list[int | None] = x.shape.as_list()
        unknown = [axis for axis, size in enumerate(sizes) if size is None]
        if unknown:
            _check_known(description, window, unknown, len(sizes))
        apart = [
            prime for prime in _PRIMES if all(size is None or size % prime or not size for size in sizes)
        ]
        if len(unknown) > len(apart):
            rule, mend = f"has at most {len(apart)} unknown sizes", "tell some of them by tf.ensure_shape"
            raise DropkitError("x", rule, len(unknown), mend)
        self._unknown = {
            prime: tf.shape(x, tf.int64)[axis] for prime, axis in zip(apart, unknown, strict=False)
        }
        primes = iter(self._unknown)
        self.shape = tuple(next(primes) if size is None else size for size in sizes)

    def size(self, number: int) -> Any:
        """Return what a product of sizes stands for: a number, or a tensor of int64."""
        known = number
        sizes = []
        for prime, size in self._unknown.items():
            while known and known % prime == 0:
                known //= prime
                sizes.append(size)
        for size in sizes:
            known = known * size
        return known


def _check_known(description: Drop, window: Window, unknown: list[int], rank: int) -> None:
    if window != WHOLE:
        mend = "tell it, e.g. x = tf.ensure_shape(x, (32, 128))"
        raise DropkitError("window", "goes with a tensor whose every size is known", window, mend)
    groups, rate = description.groups, description.rate
    named = set() if isinstance(groups, Pattern) else set(groups.over.split())
    named |= {rate.over} if isinstance(rate, PerAxis) else set()
    for axis, items in _axes(groups.parsed.left, rank):
        if axis in unknown and (len(items) > 1 or named & {item.label for item in items}):
            words = " ".join(str(item.name or item.size) for item in items)
            rule = f"has a known size where {description.groups.pattern!r} names {words!r}"
            raise DropkitError("x", rule, "None", "tell it, e.g. x = tf.ensure_shape(x, (None, 128))")


def _axes(left: Any, rank: int) -> list[tuple[int, Any]]:
    """Pair each axis of the array with its part of the pattern, but for those that `...` takes."""
    dots = next((i for i, items in enumerate(left) if items[0].name == ELLIPSIS), len(left))
    after = left[dots + 1 :]
    return [*enumerate(left[:dots]), *((rank - len(after) + i, items) for i, items in enumerate(after))]
