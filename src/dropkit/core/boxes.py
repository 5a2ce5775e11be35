"""Boxes on a grid: where one begins, which places it covers, and a grid that is cut into tiles.

Whole numbers alone, written with operators, so that every framework cuts the very same boxes.
"""

from __future__ import annotations

from typing import Any

__all__ = ["box", "mosaic", "pick", "span", "tiles"]


def pick(u: Any, n: Any) -> Any:
    """Return a whole number below n, all alike but for 2**-32: u n / 2**32, rounded down.

    Args:
        u: draws below 2**32, int64.
        n: how many there are to choose from, at least 1 and below 2**31: one number, or an int64 array.

    >>> pick(2**31, 10)
    5
    """
    return u * n >> 32


def span(start: Any, length: Any, size: int, xp: Any) -> Any:
    """Return which of `size` places lie in [start, start + length): bool, with one axis more than `start`.

    >>> import numpy
    >>> span(numpy.array([-1, 2]), 2, 4, numpy).astype(int).tolist()
    [[1, 0, 0, 0], [0, 0, 1, 1]]
    """
    places = xp.arange(size, device=start.device)
    begin = start[..., None]
    return (places >= begin) & (places < begin + _last(length))


def box(rows: Any, columns: Any) -> Any:
    """Return which entries lie in both a row and a column: bool, of shape (..., height, width).

    >>> import numpy
    >>> box(numpy.array([True, False]), numpy.array([True, True])).tolist()
    [[True, True], [False, False]]
    """
    return rows[..., :, None] & columns[..., None, :]


def tiles(x: Any, side: int) -> Any:
    """Cut the last two axes into squares: (..., height, width) to (..., rows, columns, side * side).

    >>> import numpy
    >>> tiles(numpy.arange(8).reshape(2, 4), 2).tolist()
    [[[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    *others, height, width = x.shape
    cut = x.reshape(*others, height // side, side, width // side, side).swapaxes(-3, -2)
    return cut.reshape(*others, height // side, width // side, side * side)


def mosaic(tiled: Any, side: int) -> Any:
    """Put tiles together again.

    >>> import numpy
    >>> x = numpy.arange(24).reshape(4, 6)
    >>> bool((mosaic(tiles(x, 2), 2) == x).all())
    True
    """
    *others, rows, columns, _ = tiled.shape
    cut = tiled.reshape(*others, rows, columns, side, side).swapaxes(-3, -2)
    return cut.reshape(*others, rows * side, columns * side)


def _last(length: Any) -> Any:
    return length if isinstance(length, int) else length[..., None]
