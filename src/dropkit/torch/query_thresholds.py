"""Below which draw a query loses a key, so that none loses its last visible one: DropKey without scores."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dropkit.core.address import Words
from dropkit.torch import native

__all__ = ["Visible", "query_thresholds"]

Tensor = torch.Tensor
Visible = Callable[[Tensor], Tensor]
_CHUNK = 2**22  # decisions in memory at once


def query_thresholds(
    shape: tuple[int, ...], number: int, words: Words[int], visible: Visible | None = None
) -> Tensor:
    """Return the threshold of each query: that of the rate, or its largest visible draw if that is smaller.

    Args:
        shape: (batch, heads, queries, keys).
        number: the threshold of the rate.
        words: the numbers of a key.
        visible: which keys the queries of some numbers see, bool (rows, keys); all, if left out. A query that
            sees none loses nothing.

    Returns:
        int64 (batch, heads, queries), on the CPU.

    >>> query_thresholds((1, 1, 2, 3), 2**32, Words(1, 0, 0)).tolist()
    [[[3044740280, 3895138707]]]
    """
    *leading, keys = shape
    rows = 1
    for size in leading:
        rows *= size
    thresholds = torch.full((rows,), number)
    step = max(1, _CHUNK // max(keys, 1))
    if keys == 0:
        return thresholds.view(leading)
    for start in range(0, rows, step):
        row = torch.arange(start, min(start + step, rows))
        lost = native.fallen_in_order(words, start * keys, row.numel() * keys, number).view(-1, keys)
        if visible is not None:
            lost = lost | ~visible(row)
        all_lost = lost.all(-1)
        row = row[all_lost]
        if not row.numel():
            continue
        if 4 * row.numel() > all_lost.numel():
            u = native.drawn_in_order(words, start * keys, lost.numel()).view(-1, keys)[all_lost]
        else:  # they are few: for all others nothing more is drawn
            u = torch.stack([native.drawn_in_order(words, i * keys, keys) for i in row.tolist()])
        thresholds[row] = (u if visible is None else torch.where(visible(row), u, 0)).amax(-1)
    return thresholds.view(leading)
