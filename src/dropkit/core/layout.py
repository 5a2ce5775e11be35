"""Which group each entry of an array belongs to, as sizes and strides."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dropkit.core import address

__all__ = ["Layout", "merge"]


def merge(
    sizes: tuple[int, ...], *walks: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Merge neighbouring axes that one stride can walk in every walk, and leave out axes of one entry.

    >>> merge((2, 3, 4), (12, 4, 1), (3, 1, 0))
    ((6, 4), ((4, 1), (1, 0)))
    """
    merged: list[int] = []
    steps: list[tuple[int, ...]] = []
    for size, *step in zip(sizes, *walks, strict=True):
        if size == 1:
            continue
        if merged and steps[-1] == tuple(size * each for each in step):
            merged[-1], steps[-1] = merged[-1] * size, tuple(step)
        else:
            merged.append(size)
            steps.append(tuple(step))
    return tuple(merged), tuple(zip(*steps, strict=True)) if steps else ((),) * len(walks)


@dataclass(frozen=True)
class Layout:
    """The group of the entry at index (i_0, i_1, ...) is base + sum of i_k * strides[k].

    A stride of 0 says that the axis shares its coins. Whatever the memory looks like, the group index is
    logical.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    base: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the draws: 1 where an axis shares.

        >>> Layout((2, 3), (1, 0)).shape
        (2, 1)
        """
        return tuple(size if stride else 1 for size, stride in zip(self.sizes, self.strides, strict=True))

    def collapse(self) -> Layout:
        """Merge neighbouring axes that one stride can walk: fewer loops, the same groups.

        >>> Layout((2, 3, 4, 5), (3, 1, 0, 0)).collapse()
        Layout(sizes=(6, 20), strides=(1, 0), base=0)
        """
        sizes, (strides,) = merge(self.sizes, self.strides)
        return Layout(sizes, strides, self.base)

    def uniform(self, xp: Any, key: address.Words[Any], device: Any = None) -> Any:
        """Return u of every group, in `shape`."""
        return self.draw(xp, key, device, address.uniform, address.uniform_at)

    def second(self, xp: Any, key: address.Words[Any], device: Any = None) -> Any:
        """Return the second uniform of every group, in `shape`."""
        return self.draw(xp, key, device, address.second, address.second_at)

    def draw(self, xp: Any, key: address.Words[Any], device: Any, run: Any, pick: Any) -> Any:
        """Draw for every group: by `run` where they follow one another, by `pick` where they do not."""
        if math.prod(self.shape) == 0:
            return xp.zeros(self.shape, dtype=xp.int64, device=device)
        own = sorted((i for i, stride in enumerate(self.strides) if stride), key=lambda i: -self.strides[i])
        if not self._follow(own):
            return pick(xp, key, self._groups(xp, device))
        drawn = run(xp, key, self.base, math.prod(self.shape), device)
        drawn = xp.reshape(drawn, tuple(self.sizes[i] for i in own))
        back = sorted(range(len(own)), key=own.__getitem__)
        return xp.reshape(xp.moveaxis(drawn, tuple(back), tuple(range(len(own)))), self.shape)

    def _follow(self, own: list[int]) -> bool:
        """Whether the groups follow one another without a gap: then whole tiles can be drawn."""
        step = 1
        for i in reversed(own):
            if self.strides[i] != step:
                return False
            step *= self.sizes[i]
        return True

    def _groups(self, xp: Any, device: Any) -> Any:
        index = xp.zeros((1,) * len(self.sizes), dtype=xp.int64, device=device) + self.base
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            steps = xp.arange(size, device=device) * stride
            index = index + xp.reshape(steps, (-1,) + (1,) * (len(self.sizes) - axis - 1))
        return index
