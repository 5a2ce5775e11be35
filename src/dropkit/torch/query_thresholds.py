"""Below which draw a query loses a key, so that none loses its last visible one: DropKey without scores."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dropkit.core.address import Words
from dropkit.torch import native

__all__ = ["Visible", "query_thresholds"]

Tensor = torch.Tensor
Visible = Callable[[Tensor, Tensor, Tensor], Tensor]
_CHUNK = 2**20  # decisions in memory at once: fits the caches, and more were slower


def query_thresholds(
    shape: tuple[int, int, int, int], number: int, words: Words[int], visible: Visible | None = None
) -> Tensor:
    """Return the threshold of each query: that of the rate, or its largest visible draw if that is smaller.

    Args:
        shape: (batch, heads, queries, keys).
        number: the threshold of the rate.
        words: the numbers of a key.
        visible: tells which keys the queries at some places (batch, head, query) see, bool (rows, keys); all,
            if left out. A query that sees none loses nothing.

    Returns:
        int64 (batch, heads, queries), on the CPU.

    >>> query_thresholds((1, 1, 2, 3), 2**32, Words(1, 0, 0)).tolist()
    [[[3044740280, 3895138707]]]
    """
    batch, heads, queries, keys = shape
    rows = batch * heads * queries
    thresholds = torch.full((rows,), number, device="cpu")

    def seen(row: Tensor) -> Tensor | None:
        places = row // (heads * queries), row // queries % heads, row % queries
        return None if visible is None else visible(*places)

    step = max(1, _CHUNK // max(keys, 1))
    if keys == 0:
        return thresholds.view(batch, heads, queries)
    for start in range(0, rows, step):
        row = torch.arange(start, min(start + step, rows), device="cpu")
        lost = native.fallen_in_order(words, start * keys, row.numel() * keys, number).view(-1, keys)
        able = seen(row)
        if able is not None:
            lost |= ~able
        all_lost = lost.all(-1)
        row = row[all_lost]
        if not row.numel():
            continue
        if 4 * row.numel() > all_lost.numel():
            u = native.drawn_in_order(words, start * keys, lost.numel()).view(-1, keys)[all_lost]
        else:  # they are few: for all others nothing more is drawn
            u = torch.stack([native.drawn_in_order(words, i * keys, keys) for i in row.tolist()])
        thresholds[row] = (u if able is None else torch.where(able[all_lost], u, 0)).amax(-1)
    return thresholds.view(batch, heads, queries)
