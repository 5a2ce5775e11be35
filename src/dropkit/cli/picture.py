"""A mask as a picture of block characters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["BLOCKS", "PLAIN", "legend", "moments", "percent", "picture"]

BLOCKS = "·░▒▓█"
PLAIN = ".-+*#"
"""Glyphs from a factor of 0 to the largest one, for terminals with and without block characters."""

Mask = np.ndarray[Any, Any]
_GAP = "  "


def picture(mask: Mask, axes: str, glyphs: str, width: int) -> str:
    """Draw a mask: the last two axes as a panel, the panels of the others side by side.

    Args:
        mask: the factors m, of at least one axis.
        axes: the names of its axes, e.g. `"b c h w"`.
        glyphs: from dropped to the largest factor.
        width: columns of the terminal.

    >>> print(picture(np.array([[[0, 2.0]], [[2.0, 0]]]), "b t d", BLOCKS, 80))
    b 0   b 1
    ··██  ██··
    """
    panels = mask.reshape(-1, *mask.shape[-2:]) if mask.ndim > 1 else mask.reshape(1, 1, -1)
    titles = _titles(mask.shape[:-2], axes.split())
    wide = 2 if 2 * panels.shape[2] <= width else 1
    marks = np.array(list(glyphs))[_levels(panels, len(glyphs))]
    drawn = [
        _framed(title, ["".join(mark * wide for mark in row) for row in panel])
        for title, panel in zip(titles, marks, strict=True)
    ]
    fitting = max((width + len(_GAP)) // (len(drawn[0][-1]) + len(_GAP)), 1)
    shelves = -(-len(drawn) // fitting)
    evenly = -(-len(drawn) // shelves)
    return "\n".join(line for shelf in _batches(drawn, evenly) for line in _side_by_side(shelf))


def legend(mask: Mask, glyphs: str) -> str:
    """Say what the glyphs mean, and what share was dropped.

    >>> legend(np.array([0.0, 2.0]), BLOCKS)
    '█ kept, times 2   · dropped (50 %)'
    """
    largest = f"{mask.max():.3g}"
    if len(np.unique(mask)) <= 2:
        return f"{glyphs[-1]} kept, times {largest}   {glyphs[0]} dropped ({percent(mask)})"
    return f"factor from {glyphs[0]} 0 or less to {glyphs[-1]} {largest}   ({moments(mask)})"


def percent(mask: Mask) -> str:
    """Return the share of the entries that were dropped.

    >>> percent(np.array([0.0, 2.0]))
    '50 %'
    """
    return f"{np.mean(mask == 0):.0%}".replace("%", " %")


def moments(mask: Mask) -> str:
    """Return the mean and the variance of the factors.

    >>> moments(np.array([0.5, 1.5]))
    'mean 1.00, variance 0.25'
    """
    return f"mean {mask.mean():.2f}, variance {mask.var():.2f}"


def _levels(panels: Mask, levels: int) -> Mask:
    shares = np.clip(panels / max(float(panels.max()), np.finfo(float).tiny), 0, 1)
    return np.rint(shares * (levels - 1)).astype(int)


def _titles(shape: tuple[int, ...], axes: list[str]) -> list[str]:
    """Name each panel by its place along the axes that have more than one."""
    places = itertools.product(*map(range, shape))
    return [
        " ".join(f"{axis} {i}" for axis, i, size in zip(axes, place, shape, strict=False) if size > 1)
        for place in places
    ]


def _framed(title: str, rows: list[str]) -> list[str]:
    width = max(len(rows[0]), len(title))
    return [line.ljust(width) for line in ([title] if title else []) + rows]


def _batches(panels: list[list[str]], size: int) -> Iterator[list[list[str]]]:
    for start in range(0, len(panels), size):
        yield panels[start : start + size]


def _side_by_side(panels: list[list[str]]) -> Iterator[str]:
    for lines in zip(*panels, strict=True):
        yield _GAP.join(lines).rstrip()
