"""How a loop goes through memory: the group of each entry, its place in the input and in the result."""

from __future__ import annotations

from typing import NamedTuple

from dropkit.core.bind import Shape, Window, bind, opened
from dropkit.core.groups import Pattern
from dropkit.core.layout import merge

__all__ = ["Walk", "walk"]


class Walk(NamedTuple):
    """Merged sizes, and the strides of groups, of the input and of the result, in entries."""

    base: int
    sizes: Shape
    groups: Shape
    steps: Shape
    strides: Shape

    @property
    def dense(self) -> bool:
        """Whether groups follow one another as the entries do in memory."""
        return self.groups == self.steps == self.strides == (1,) * len(self.sizes)


def walk(
    groups: Pattern, window: Window, shape: Shape, steps: Shape, strides: Shape, logical: bool = False
) -> Walk:
    """Return the walk from an array with strides `steps` into one with `strides`.

    It goes in the order in which the result lies in memory, or, if `logical`, in the order of the groups.

    >>> walk(Pattern("b t -> b"), Window(), (2, 3), (1, 2), (1, 2))
    Walk(base=0, sizes=(3, 2), groups=(0, 1), steps=(2, 1), strides=(2, 1))
    """
    bound = bind(groups.parsed, groups.sizes, shape)
    layout = groups.layout(shape, window)
    walks = layout.strides, opened(bound, steps), opened(bound, strides)
    first = 0 if logical else 2
    # Of axes without a stride there the memory decides: shared coins come last.
    order = sorted(range(len(bound)), key=lambda i: (-walks[first][i], -walks[2][i]))
    placed = [tuple(each[i] for i in order) for each in walks]
    sizes, (own, read, written) = merge(tuple(layout.sizes[i] for i in order), *placed)
    return Walk(layout.base, sizes, own, read, written)
