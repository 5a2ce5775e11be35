"""Parts that share no group: no patient, no user, no site stands in two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Index, Split

__all__ = ["FOLDS", "check_groups", "group_fold", "group_split"]

FOLDS = 7
"""Held parts are a seventh of the rows each, so there must be as many groups."""

_ATTEMPTS = 50
_FEW = 50  # of more groups a random share is about as even, and takes a thousandth of the time


def check_groups(groups: Index, labels: Index | None, classes: Sequence[str], parts: int = 3) -> None:
    """Refuse fewer groups than parts need, in all or of one class.

    Args:
        groups: number of the group of each row.
        labels: number of the class of each row; none for a regression.
        classes: their names.
        parts: that every class must reach.

    Raises:
        DropkitError: there are fewer than seven groups, or a class stands in fewer of them than parts.
    """
    count = len(np.unique(groups))
    if count < FOLDS:
        rule = f"must name {FOLDS} groups or more, for parts that share none"
        raise DropkitError("group", rule, count, "bring more groups, or name another column")
    for number, name in enumerate(classes if labels is not None else ()):
        reached = len(np.unique(groups[labels == number]))
        if reached < parts:
            rule = f"must spread every class over {parts} groups or more, one for each part"
            mend = "bring more groups with it, or merge it with another class"
            raise DropkitError("group", rule, f"{reached} with class {name}", mend)


def group_split(groups: Index, labels: Index | None, seed: int) -> Split:
    """One seventh of the rows to stop on, one to select on, the rest to train, whole groups each.

    Drawn again, up to fifty times, while a class is missing in a part.
    """
    state = np.random.RandomState(seed)
    for _ in range(_ATTEMPTS):
        held = _two_folds(groups, labels, state)
        train = np.setdiff1d(np.arange(len(groups)), np.concatenate(held))
        if labels is None or _all_classes(labels, (train, *held)):
            break
    return Split(train, *held)


def group_fold(groups: Index, labels: Index | None, seed: int) -> Index:
    """One seventh of the rows, whole groups.

    >>> rows = group_fold(np.arange(70) // 2, None, seed=0)
    >>> len(rows), set(rows // 2) & (set(range(35)) - set(rows // 2))
    (10, set())
    """
    return group_split(groups, labels, seed).select


def _two_folds(groups: Index, labels: Index | None, state: np.random.RandomState) -> tuple[Index, Index]:
    rows = np.arange(len(groups))
    strata = np.zeros_like(rows) if labels is None else labels
    if len(np.unique(groups)) < _FEW:
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=state).split(rows, strata, groups)
        return next(folds)[1], next(folds)[1]
    stop = _share(rows, groups, 1 / FOLDS, state)
    rest = np.setdiff1d(rows, stop)
    return stop, _share(rest, groups, 1 / (FOLDS - 1), state)


def _share(rows: Index, groups: Index, share: float, state: np.random.RandomState) -> Index:
    splitter = GroupShuffleSplit(1, test_size=share, random_state=state)
    _, held = next(splitter.split(rows, groups=groups[rows]))
    taken: Index = rows[held]
    return taken


def _all_classes(labels: npt.NDArray[Any], parts: Sequence[Index]) -> bool:
    count = len(np.unique(labels))
    return all(len(np.unique(labels[part])) == count for part in parts)
