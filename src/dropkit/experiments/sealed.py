"""Four parts: a test part cut once and sealed; train, stop and select parts that every pair draws anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.model_selection import train_test_split

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset, Index, Split
from dropkit.experiments.group_split import check_groups, group_fold
from dropkit.experiments.split import MIN_HELD, Rows, check_parts, cut_pairs, row_sizes
from dropkit.report.plan import FIRST_SCREENING, Parts

__all__ = ["DESIGNS", "ROOMY", "Cut", "Sealed", "seal"]

SHARE = 0.15
"""The part of the rows that is sealed; under groups one fold of seven, forward in time the latest."""
ROOMY = 20_000
"""So many open rows are halved: one half for searching settings, the other for comparing them."""
LEARNED = 0.7
"""Of a half at most so much is learned from; the rest is to stop and to compare on."""
DESIGNS = ("splits", "seeds")


@dataclass(frozen=True)
class Sealed:
    """Data without its sealed rows, these rows by themselves, and what every pair draws of the others.

    `splits` are by number of the pair and count the rows of `opened`.
    """

    opened: Dataset
    vault: Dataset
    splits: dict[int, Split]
    parts: Parts


@dataclass(frozen=True)
class Cut:
    """How the pairs are cut.

    Args:
        pairs: for comparing, 1 or more.
        screening: splits for searching, 0 or more.
        train_rows: rows to learn from; by default all that the other parts leave.
        design: `splits` draws one for every pair, `seeds` has one split for all.
    """

    pairs: int
    screening: int = 0
    train_rows: int | None = None
    design: str = "splits"


def seal(data: Dataset, cut: Cut, seed: int) -> Sealed:
    """Cut the test part once from the seed, then the parts of every pair from the rows that are left.

    The test part depends on the data and the seed alone: neither more pairs nor other training rows open it.

    Args:
        data: groups and times in it decide how it is cut.
        cut: how many pairs, and of what.
        seed: of the study.

    Raises:
        DropkitError: rows, groups, times or classes do not suffice for four parts.

    >>> from dropkit.experiments.arrays import array_dataset
    >>> seal(array_dataset(np.zeros((200, 2)), np.arange(200) % 2), Cut(6), seed=0).parts
    Parts(train=118, stop=26, select=26, test=30, design='resampled', overlap=0.22..., fresh=True)
    """
    rows = Rows.of(data)
    if rows.groups is not None:
        check_groups(rows.groups, rows.labels, data.classes, parts=4)
    test = _test_rows(rows, seed)
    left = np.setdiff1d(np.arange(rows.count), test)
    opened = data.take(left)
    if opened.groups is not None:
        check_groups(opened.groups, None, ())
    parts, splits = _draw(Rows.of(opened), cut, len(test), seed)
    check_parts(opened, [vars(split) for split in splits.values()])
    check_parts(data, [{"sealed test": test}])
    return Sealed(opened, data.take(test), splits, parts)


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


def _draw(rows: Rows, cut: Cut, test: int, seed: int) -> tuple[Parts, dict[int, Split]]:
    draw = _draw_halves if _is_halved(rows, cut) else _draw_whole
    return draw(rows, cut, test, seed)


def _draw_whole(rows: Rows, cut: Cut, test: int, seed: int) -> tuple[Parts, dict[int, Split]]:
    # Forward in time the search comes first, so that what it has seen lies before what is compared on.
    screening = range(FIRST_SCREENING, FIRST_SCREENING + cut.screening)
    numbers = [*screening, *range(cut.pairs)]
    sizes, drawn = cut_pairs(rows, numbers, cut.train_rows, seed)
    splits = dict(zip(numbers, drawn, strict=True))
    if cut.design == "seeds":
        splits |= dict.fromkeys(range(cut.pairs), splits[0])
    design = "seeds" if cut.design == "seeds" else "disjoint" if sizes.disjoint else "resampled"
    overlap = 0.0 if cut.design == "seeds" else sizes.overlap
    parts = Parts(sizes.train, sizes.stop, sizes.select, test, design, overlap, _fresh(splits))
    return parts, splits


def _is_halved(rows: Rows, cut: Cut) -> bool:
    """Whether a search is kept apart: pairs that share no rows are apart without it."""
    plain = rows.groups is None and rows.times is None
    suffices = cut.train_rows is None or cut.train_rows <= LEARNED * (rows.count // 2)
    if not (cut.screening and plain and suffices and rows.count >= ROOMY):
        return False
    return not row_sizes(rows.count, cut.screening + cut.pairs, cut.train_rows).disjoint


def _draw_halves(rows: Rows, cut: Cut, test: int, seed: int) -> tuple[Parts, dict[int, Split]]:
    everything = np.arange(rows.count)
    state = int(np.random.SeedSequence(seed).generate_state(2)[1])
    halves = train_test_split(everything, test_size=0.5, stratify=rows.labels, random_state=state)
    asked = replace(cut, pairs=0, design="splits"), replace(cut, screening=0)
    (_, searched), (parts, compared) = (
        _draw_whole(rows.take(half), each, test, seed) for half, each in zip(halves, asked, strict=True)
    )
    splits = {pair: _within(halves[0], split) for pair, split in searched.items()}
    splits |= {pair: _within(halves[1], split) for pair, split in compared.items()}
    return parts, splits


def _within(rows: Index, split: Split) -> Split:
    return Split(rows[split.train], rows[split.stop], rows[split.select])


def _fresh(splits: dict[int, Split]) -> bool:
    """Whether no row on which arms are compared was drawn for searching."""
    searched: Sequence[Index] = [
        rows for pair, split in splits.items() if pair >= FIRST_SCREENING for rows in vars(split).values()
    ]
    compared = [split.select for pair, split in splits.items() if pair < FIRST_SCREENING]
    if not searched or not compared:
        return True
    return not np.intersect1d(np.concatenate(searched), np.concatenate(compared)).size
