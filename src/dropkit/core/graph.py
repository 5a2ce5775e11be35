"""Edges of a graph as two lists of node numbers, for NumPy and torch alike: `xp` is the module."""

from __future__ import annotations

from typing import Any

__all__ = ["first_of_pair"]


def first_of_pair(source: Any, target: Any, xp: Any) -> Any:
    """Return for each edge the place of the first edge between the same two nodes, in either direction.

    What is drawn for that place is what both directions of an edge share, whatever the order of the list; a
    loop and an edge without its reverse are alone and get their own place.

    Args:
        source: node numbers (E,), whole and not negative.
        target: as many.
        xp: numpy or torch.

    >>> import numpy
    >>> first_of_pair(numpy.array([0, 1, 1, 2]), numpy.array([1, 1, 0, 0]), numpy).tolist()
    [0, 1, 0, 3]
    """
    if not len(source):
        return source
    # The number of a pair does not fit into 32 bits, whatever the list has.
    source, target = (xp.asarray(end, dtype=xp.int64) for end in (source, target))
    high = xp.maximum(source, target)
    pair = xp.minimum(source, target) * (high.max() + 1) + high
    order = xp.argsort(pair, stable=True)
    return order[xp.searchsorted(pair[order], pair)]
