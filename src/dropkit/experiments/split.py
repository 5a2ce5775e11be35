"""Splits that every arm shares, and what their shared rows do to a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, Index, Split

MIN_HELD = 10

__all__ = ["Sizes", "make_splits", "pair_seeds", "plan_sizes"]


@dataclass(frozen=True)
class Sizes:
    """Rows of the parts of one pair, and whether the pairs can do without sharing any."""

    train: int
    select: int
    test: int
    disjoint: bool

    @property
    def overlap(self) -> float:
        """Variance that shared rows add: 0 if no row is used twice, else n_test / n_train."""
        return 0.0 if self.disjoint else self.test / self.train


def plan_sizes(rows: int, pairs: int, train_rows: int | None) -> Sizes:
    """70 / 15 / 15 per cent, or the training rows asked for; then pairs share no rows if there are enough.

    >>> plan_sizes(1000, 10, None)
    Sizes(train=700, select=150, test=150, disjoint=False)
    >>> plan_sizes(70000, 10, 1000)
    Sizes(train=1000, select=1000, test=1000, disjoint=True)
    """
    if train_rows is None:
        held = round(0.15 * rows)
        return Sizes(rows - 2 * held, held, held, disjoint=False)
    own = (rows // pairs - train_rows) // 2
    if own >= max(100, train_rows // 5):
        held = min(own, max(1000, train_rows // 10))
        return Sizes(train_rows, held, held, disjoint=True)
    held = min(train_rows // 5, (rows - train_rows) // 2)
    if held < MIN_HELD:
        rule = f"must leave {MIN_HELD} of the {rows} rows for choosing and {MIN_HELD} for judging"
        mend = f"ask for {5 * MIN_HELD} to {rows - 2 * MIN_HELD}, or leave it out"
        raise DropkitError("train_rows", rule, train_rows, mend)
    return Sizes(train_rows, held, held, disjoint=False)


def pair_seeds(seed: int, pair: int) -> tuple[int, int, int, int]:
    """Independent seeds of one pair, for its split, initial weights, data order and dropout."""
    states = np.random.SeedSequence(seed, spawn_key=(pair,)).generate_state(4)
    split, init, order, noise = (int(state) for state in states)
    return split, init, order, noise


def make_splits(data: Dataset, sizes: Sizes, pairs: int, seed: int) -> list[Split]:
    """One split a pair, stratified by class; disjoint blocks of rows where there are rows enough."""
    labels = data.y if data.task == CLASSIFICATION else None
    blocks = _blocks(labels, len(data.y), pairs if sizes.disjoint else 1, seed)
    return [
        _cut(blocks[pair % len(blocks)], labels, sizes, pair_seeds(seed, pair)[0]) for pair in range(pairs)
    ]


def _blocks(labels: npt.NDArray[Any] | None, rows: int, count: int, seed: int) -> list[Index]:
    if count == 1:
        return [np.arange(rows)]
    fold = (KFold if labels is None else StratifiedKFold)(count, shuffle=True, random_state=seed)
    return [block for _, block in fold.split(np.zeros(rows), labels)]


def _cut(rows: Index, labels: npt.NDArray[Any] | None, sizes: Sizes, seed: int) -> Split:
    def cut(rows: Index, first: int, second: int) -> tuple[Index, Index]:
        stratify = None if labels is None else labels[rows]
        one, two = train_test_split(
            rows, train_size=first, test_size=second, stratify=stratify, random_state=seed
        )
        return one, two

    train, held = cut(rows, sizes.train, sizes.select + sizes.test)
    select, test = cut(held, sizes.select, sizes.test)
    return Split(train, select, test)
