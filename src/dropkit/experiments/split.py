"""Splits that every arm shares, and what their shared rows do to a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, Index, Split
from dropkit.experiments.forward_split import forward_sizes, forward_splits
from dropkit.experiments.group_split import group_split
from dropkit.experiments.randomness import pair_seeds
from dropkit.report.messages import Note
from dropkit.report.words import printable

MIN_HELD = 10

__all__ = [
    "Rows",
    "Sizes",
    "check_parts",
    "cut_notes",
    "cut_pairs",
    "row_sizes",
]


@dataclass(frozen=True)
class Rows:
    """What rows are cut by: class, group and time, each None where there is none."""

    count: int
    labels: Index | None = None
    groups: Index | None = None
    times: Index | None = None

    @classmethod
    def of(cls, data: Dataset) -> Rows:
        """The rows of a data set."""
        labels = data.y if data.task == CLASSIFICATION else None
        return cls(len(data.y), labels, data.groups, data.times)

    def take(self, rows: Index) -> Rows:
        """Some of the rows, numbered anew."""
        labels, groups, times = (
            None if each is None else each[rows] for each in (self.labels, self.groups, self.times)
        )
        return Rows(len(rows), labels, groups, times)


@dataclass(frozen=True)
class Sizes:
    """Rows of the parts of one pair, and whether the pairs can do without sharing any.

    Under groups held parts have so many rows or more, select parts `mean_select` on average; forward in time
    `train` is that of the first pair.
    """

    train: int
    stop: int
    select: int
    disjoint: bool
    mean_select: float = 0.0

    @property
    def overlap(self) -> float:
        """Variance that shared rows add: 0 if no row is used twice, else n_select / n_train."""
        # By the smallest select part of uneven groups the correction would be half of what pairs share.
        return 0.0 if self.disjoint else max(self.select, self.mean_select) / self.train


def cut_pairs(
    rows: Rows, pairs: Sequence[int], train_rows: int | None, seed: int
) -> tuple[Sizes, list[Split]]:
    """The sizes of the parts of every pair, and its split.

    Rows with groups: whole groups; with times: forward in time, over expanding windows; else stratified by
    class, disjoint blocks of rows where there are rows enough.

    Args:
        rows: what they are cut by.
        pairs: their numbers, of which the seeds are made; forward in time the first comes first.
        train_rows: rows to learn from; by default all that the other parts leave.
        seed: of the study.

    Raises:
        DropkitError: rows, groups or times do not suffice for the parts.
    """
    if rows.groups is not None:
        splits = [group_split(rows.groups, rows.labels, pair_seeds(seed, pair)[0]) for pair in pairs]
        return _size_groups(splits, pairs, train_rows, seed)
    if rows.times is not None:
        first, held = forward_sizes(rows.count, len(pairs), train_rows, MIN_HELD)
        return Sizes(first, held, held, False), forward_splits(rows.times, first, held, len(pairs), MIN_HELD)
    classes = 1 if rows.labels is None else len(np.unique(rows.labels))
    sizes = row_sizes(rows.count, len(pairs), train_rows, classes)
    blocks = _blocks(rows.labels, rows.count, len(pairs) if sizes.disjoint else 1, seed)
    return sizes, [
        _cut(blocks[at % len(blocks)], rows.labels, sizes, pair_seeds(seed, pair)[0])
        for at, pair in enumerate(pairs)
    ]


def _size_groups(
    splits: list[Split], pairs: Sequence[int], train_rows: int | None, seed: int
) -> tuple[Sizes, list[Split]]:
    train, stop, select = (
        min(len(getattr(split, part)) for split in splits) for part in ("train", "stop", "select")
    )
    if min(stop, select) < MIN_HELD:
        rule = f"must leave {MIN_HELD} rows for stopping and {MIN_HELD} for comparing"
        raise DropkitError("group", rule, min(stop, select), "bring larger groups, or more rows")
    if train_rows is not None and train_rows > train:
        rule = "must leave whole groups for stopping and comparing"
        raise DropkitError("train_rows", rule, train_rows, f"ask for at most {train}, or leave it out")
    mean = float(np.mean([len(split.select) for split in splits]))
    sizes = Sizes(train_rows or train, stop, select, disjoint=False, mean_select=mean)
    return sizes, _trimmed(splits, pairs, sizes.train, seed)


def row_sizes(rows: int, pairs: int, train_rows: int | None, classes: int = 1) -> Sizes:
    """70 / 15 / 15 per cent, or the training rows asked for; then pairs share no rows if there are enough.

    >>> row_sizes(1000, 10, None)
    Sizes(train=700, stop=150, select=150, disjoint=False, mean_select=0.0)
    >>> row_sizes(70000, 10, 1000)
    Sizes(train=1000, stop=1000, select=1000, disjoint=True, mean_select=0.0)
    """
    if train_rows is None:
        held = round(0.15 * rows)
        return Sizes(rows - 2 * held, held, held, disjoint=False)
    own = (rows // pairs - train_rows) // 2
    if own >= max(100, train_rows // 5):
        held = min(own, max(1000, train_rows // 10))
        return Sizes(train_rows, held, held, disjoint=True)
    held = min(train_rows // 5, (rows - train_rows) // 2)
    least = max(MIN_HELD, classes)
    if held < least:
        rule = f"must leave {least} of the {rows} rows for stopping and {least} for comparing"
        mend = f"ask for {5 * least} to {rows - 2 * least}, or leave it out"
        raise DropkitError("train_rows", rule, train_rows, mend)
    return Sizes(train_rows, held, held, disjoint=False)


def _trimmed(splits: list[Split], pairs: Sequence[int], train: int, seed: int) -> list[Split]:
    # Every pair trains on equally many rows, as the plan says and the test assumes.
    orders = [np.random.default_rng(pair_seeds(seed, pair)[0]) for pair in pairs]
    rows = [np.sort(rng.permutation(split.train)[:train]) for rng, split in zip(orders, splits, strict=True)]
    return [replace(split, train=kept) for split, kept in zip(splits, rows, strict=True)]


def check_parts(data: Dataset, pairs: Sequence[Mapping[str, Index]]) -> None:
    """Refuse pairs of which a part lacks a class: it could not be learned, stopped or compared on.

    Args:
        data: of any task; a regression has no classes to lack.
        pairs: the rows of each part, by its name.

    Raises:
        DropkitError: with the class, the part and the pair.
    """
    if data.task != CLASSIFICATION:
        return
    for pair, parts in enumerate(pairs, start=1):
        for part, rows in parts.items():
            counts = np.bincount(data.y[rows], minlength=len(data.classes))
            if counts.min() == 0:
                name = printable(data.classes[int(counts.argmin())], 40)
                rule = f"must hold every class in every part: the {part} part of pair {pair} lacks one"
                mend = "merge rare classes, bring more rows, or ask for fewer pairs"
                raise DropkitError("data", rule, name, mend)


def cut_notes(data: Dataset, splits: Sequence[Split]) -> tuple[Note, ...]:
    """How the parts were cut, where it was not row by row.

    >>> from dropkit.experiments.arrays import array_dataset
    >>> data = array_dataset(np.zeros((150, 1)), np.arange(150) % 2, time=np.arange(150))
    >>> cut_notes(data, cut_pairs(Rows.of(data), range(6), None, 0)[1])
    (Note(key='note.forward', values={'first': 80, 'last': 130}),)
    """
    if data.groups is not None:
        return (Note("note.groups", {"n": len(np.unique(data.groups))}),)
    if data.times is None:
        return ()
    return (Note("note.forward", {"first": len(splits[0].train), "last": len(splits[-1].train)}),)


def _blocks(labels: Index | None, rows: int, count: int, seed: int) -> list[Index]:
    if count == 1:
        return [np.arange(rows)]
    fold = (KFold if labels is None else StratifiedKFold)(count, shuffle=True, random_state=seed)
    return [block for _, block in fold.split(np.zeros(rows), labels)]


def _cut(rows: Index, labels: Index | None, sizes: Sizes, seed: int) -> Split:
    def cut(rows: Index, first: int, second: int) -> tuple[Index, Index]:
        stratify = None if labels is None else labels[rows]
        one, two = train_test_split(
            rows, train_size=first, test_size=second, stratify=stratify, random_state=seed
        )
        return one, two

    train, held = cut(rows, sizes.train, sizes.stop + sizes.select)
    stop, select = cut(held, sizes.stop, sizes.select)
    return Split(train, stop, select)
