"""Four parts: a test part cut once and sealed; train, stop and select parts that every pair draws anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import train_test_split

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset, Index
from dropkit.experiments.group_split import check_groups, group_fold
from dropkit.experiments.split import MIN_HELD, Rows, Sizes, check_parts, size_and_cut

__all__ = ["Draw", "Sealed", "SealedSizes", "seal"]

SHARE = 0.15
"""The part of the rows that is sealed; under groups one fold of seven, forward in time the latest."""


@dataclass(frozen=True)
class Draw:
    """Row numbers of the parts that a pair draws: trained on, stopped on, chosen and compared on."""

    train: Index
    stop: Index
    select: Index


@dataclass(frozen=True)
class SealedSizes:
    """Rows of the four parts, as in `Sizes`, and whether the pairs' three can do without sharing any."""

    train: int
    stop: int
    select: int
    test: int
    disjoint: bool

    @property
    def overlap(self) -> float:
        """Variance that shared rows add to a comparison on select parts: 0, or n_select / n_train.

        It says nothing of the test part, whose rows are the same in every pair: a figure taken there holds
        for these rows alone, unless the rows themselves are drawn again (bootstrap).
        """
        return 0.0 if self.disjoint else self.select / self.train


@dataclass(frozen=True)
class Sealed:
    """The sealed rows, the draws of the pairs among all others, and their sizes."""

    test: Index
    draws: tuple[Draw, ...]
    sizes: SealedSizes


def seal(data: Dataset, pairs: int, train_rows: int | None, seed: int) -> Sealed:
    """Cut the test part once from the seed, then the parts of every pair from the rows that are left.

    The test part depends on the data and the seed alone: neither more pairs nor other training rows open it.

    Args:
        data: groups and times in it decide how it is cut.
        pairs: of split and seed.
        train_rows: rows to learn from; by default all that the other parts leave.
        seed: of the study.

    Raises:
        DropkitError: rows, groups, times or classes do not suffice for four parts.

    >>> from dropkit.experiments.arrays import array_dataset
    >>> parts = seal(array_dataset(np.zeros((200, 2)), np.arange(200) % 2), 6, None, seed=0)
    >>> parts.sizes
    SealedSizes(train=118, stop=26, select=26, test=30, disjoint=False)
    """
    rows = Rows.of(data)
    if rows.groups is not None:
        check_groups(rows.groups, rows.labels, data.classes, parts=4)
    test = _test_rows(rows, seed)
    left = np.setdiff1d(np.arange(rows.count), test)
    open_rows = rows.take(left)
    if open_rows.groups is not None:
        check_groups(open_rows.groups, None, ())
    sizes, splits = size_and_cut(open_rows, pairs, train_rows, seed)
    draws = tuple(Draw(left[split.train], left[split.select], left[split.test]) for split in splits)
    check_parts(data, [vars(draw) | {"sealed test": test} for draw in draws])
    return Sealed(test, draws, _four(sizes, len(test)))


def _test_rows(rows: Rows, seed: int) -> Index:
    # Other than every pair's, whose seeds carry the pair's number.
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
    if rows.groups is not None:
        return group_fold(rows.groups, rows.labels, state)
    count = max(round(SHARE * rows.count), MIN_HELD)
    if rows.times is not None:
        return _latest(rows.times, count)
    everything = np.arange(rows.count)
    _, test = train_test_split(everything, test_size=count, stratify=rows.labels, random_state=state)
    return np.sort(test)


def _latest(times: Index, count: int) -> Index:
    ranks = np.sort(times)
    test = np.flatnonzero(times >= ranks[-count])
    if len(test) > len(times) // 2:
        rule = "must leave rows before the sealed part: rows of one time stay together"
        raise DropkitError("time", rule, f"{len(test)} of {len(times)} at its end", "name a finer time")
    return test


def _four(sizes: Sizes, test: int) -> SealedSizes:
    return SealedSizes(sizes.train, sizes.select, sizes.test, test, sizes.disjoint)
