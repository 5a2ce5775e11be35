"""What is to be predicted: classes or values, decided from the target and said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION
from dropkit.report.messages import Note
from dropkit.report.words import counted

__all__ = ["Target", "check_inputs", "check_size", "decide_target", "known"]

_LARGEST, _LARGEST_INPUT = 1e100, 1e38
MAX_CLASSES = 20
MIN_ROWS = 60
MIN_CLASS_ROWS = 10


@dataclass(frozen=True)
class Target:
    """A decided target: the task, the encoded values and, for classes, their names."""

    task: str
    y: npt.NDArray[Any]
    classes: tuple[str, ...]
    note: Note


def decide_target(name: str, values: npt.NDArray[Any], task: str = "auto", column: str = "y") -> Target:
    """Decide classification or regression from the target, and refuse one that nothing can be learned from.

    Text, booleans and whole numbers of at most 20 different values are classes; other numbers are values.

    Args:
        name: of the argument, in refusals.
        values: one a row.
        task: `auto`, `classification` or `regression`.
        column: what the target is called in the note.

    Raises:
        DropkitError: there are too few rows, too few of a class, or nothing varies.

    >>> decide_target("price", np.linspace(0, 1, 80)).task
    'regression'
    """
    check_rows(name, len(values))
    numeric = np.issubdtype(values.dtype, np.number)
    guessed = task == "auto"
    chosen = _guess_task(values, numeric) if guessed else task
    if chosen == CLASSIFICATION:
        classes, y = _classes(name, values)
        key = "note.classes" if guessed else "note.classes_asked"
        return Target(CLASSIFICATION, y, classes, Note(key, {"name": column, "n": len(classes)}))
    y = _values(name, values, numeric)
    key = "note.numbers" if guessed else "note.numbers_asked"
    return Target(REGRESSION, y, (), Note(key, {"name": column, "n": len(np.unique(y))}))


def check_rows(name: str, rows: int) -> None:
    """Refuse fewer rows than three parts can be cut from."""
    if rows < MIN_ROWS:
        rule = f"needs at least {MIN_ROWS} rows with a target, for three parts that mean something"
        raise DropkitError(name, rule, rows, "bring more rows")


def _guess_task(values: npt.NDArray[Any], numeric: bool) -> str:
    if not numeric:
        return CLASSIFICATION
    whole = bool(np.all(np.mod(values, 1) == 0))
    return CLASSIFICATION if whole and len(np.unique(values)) <= MAX_CLASSES else REGRESSION


def _classes(name: str, values: npt.NDArray[Any]) -> tuple[tuple[str, ...], npt.NDArray[Any]]:
    levels, y, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    if len(levels) < 2:
        rule = "must hold at least two classes"
        raise DropkitError(name, rule, str(levels[0]), "name another column, or add rows of another class")
    if counts.min() < MIN_CLASS_ROWS:
        rare = levels[counts.argmin()]
        rule = f"needs at least {MIN_CLASS_ROWS} rows of every class"
        quantity = ", or ask for task=regression if the target is a quantity"
        numeric = np.issubdtype(values.dtype, np.number)
        mend = f"merge or remove rare classes{quantity if numeric else ', or write a quantity as numbers'}"
        raise DropkitError(name, rule, f"{rare}: {counted(int(counts.min()), 'row')}", mend)
    return tuple(str(level) for level in levels), y.astype(np.int64)


def _values(name: str, values: npt.NDArray[Any], numeric: bool) -> npt.NDArray[np.float64]:
    if not numeric:
        first = values[0]
        raise DropkitError(name, "must be numeric for a regression", first, "ask for task=classification")
    values = values.astype(np.float64)  # in smaller types the bound itself would overflow
    if np.abs(values).max() > _LARGEST:
        rule = f"must stay below {_LARGEST:g}, so that squares of it can be summed"
        raise DropkitError(name, rule, np.abs(values).max(), "give it in a larger unit")
    if np.ptp(values) == 0:
        rule = "must vary: a constant target leaves nothing to learn"
        raise DropkitError(name, rule, values[0], "name another column")
    if np.ptp(values) < 1 / _LARGEST:
        rule = f"must vary by {1 / _LARGEST:g} or more, so that squares of it can be summed"
        raise DropkitError(name, rule, float(np.ptp(values)), "give it in a smaller unit")
    return values


def known(name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Targets that are all there, those of objects in the type that they have in common.

    Raises:
        DropkitError: one is missing, NaN or infinite.

    >>> known("y", np.array([1, 2.5], dtype=object))
    array([1. , 2.5])
    """
    if values.dtype == object:
        if (missing := pd.isna(values)).any():
            mend = "remove the row, or name its class"
            raise DropkitError(name, "must be known for every row", values[missing][0], mend)
        values = pd.Series(values).infer_objects().to_numpy()
    _check_finite(name, values)
    return values


def check_inputs(name: str, values: npt.NDArray[Any]) -> None:
    """Refuse NaN, infinity, and what would become infinite in the 32 bits that networks reckon with."""
    _check_finite(name, values)
    if np.issubdtype(values.dtype, np.floating) and values.size:
        check_size(name, float(max(values.max(), -values.min())))


def check_size(name: str, largest: float) -> None:
    """Refuse inputs whose largest does not fit into 32 bits."""
    if largest > _LARGEST_INPUT:
        rule = f"must stay within ±{_LARGEST_INPUT:g}, which numbers of 32 bits hold"
        raise DropkitError(name, rule, largest, "give it in a larger unit")


def _check_finite(name: str, values: npt.NDArray[Any]) -> None:
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise DropkitError(name, "must be finite", bad, "remove or replace such entries")
