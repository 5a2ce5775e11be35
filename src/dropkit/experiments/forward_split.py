"""Parts that go forward in time: what is judged comes after what was learned from."""

from __future__ import annotations

import numpy as np

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Index, Split

__all__ = ["forward_sizes", "forward_splits"]


def forward_sizes(rows: int, pairs: int, train_rows: int | None, least: int) -> tuple[int, int]:
    """Training rows of the first pair and rows of each held part.

    By default the first pair trains on half of the rows and the other half is cut into pairs + 1 blocks.

    Args:
        rows: of the data.
        pairs: each judges the block after the one it chooses on; the next pair is one block later.
        train_rows: of the first pair, taken from the latest that leave room for the blocks.
        least: rows that a block must have.

    Raises:
        DropkitError: the rows do not suffice for so many pairs.

    >>> forward_sizes(1000, 9, None, least=10)
    (500, 50)
    """
    blocks = pairs + 1
    held = (rows - (train_rows or rows // 2)) // blocks
    if train_rows is not None:
        held = min(held, max(least, train_rows // 5))
    if held < least:
        rule = f"needs {blocks} blocks of {least} rows after the first training part for {pairs} pairs"
        raise DropkitError("time", rule, rows, "ask for fewer pairs, or bring more rows")
    return train_rows or rows - held * blocks, held


def forward_splits(times: Index, first: int, held: int, pairs: int, least: int) -> list[Split]:
    """Expanding windows: pair k trains on all before its blocks, `first` + k x `held` rows.

    Rows of one time stay together: a cut that would part them moves back to the first of them.

    Raises:
        DropkitError: so many rows have one time that a part keeps fewer than `least` rows.

    >>> split = forward_splits(np.arange(10), first=4, held=2, pairs=2, least=1)[1]
    >>> split.train.tolist(), split.stop.tolist(), split.select.tolist()
    ([0, 1, 2, 3, 4, 5], [6, 7], [8, 9])
    """
    order = np.argsort(times, kind="stable")[len(times) - first - held * (pairs + 1) :]
    ranks = times[order]
    wanted = first + held * np.arange(pairs + 2)
    cuts = [int(np.searchsorted(ranks, ranks[cut])) if cut < len(ranks) else len(ranks) for cut in wanted]
    if min(np.diff([0, *cuts])) < least:
        rule = f"must have times enough for {pairs} pairs: rows of one time stay together"
        value = f"{len(np.unique(ranks))} different times"
        raise DropkitError("time", rule, value, "ask for fewer pairs, or name a finer time")
    return [
        Split(order[:start], order[start:middle], order[middle:end])
        for start, middle, end in zip(cuts, cuts[1:], cuts[2:], strict=False)
    ]
