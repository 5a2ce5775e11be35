"""What in the data would make a study say something untrue: looked for before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.feature_selection import f_classif, f_regression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from dropkit.experiments.columns import quoted, short
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, Index, Split
from dropkit.experiments.table import TableInputs
from dropkit.report.messages import Note

__all__ = ["copies_note", "sealed_copies_note", "warnings_about"]

PERFECT = 0.999
UNEQUAL = 5
Floats = npt.NDArray[np.float64]
Columns = dict[str, Floats]

_LEAST_ROWS, _MOST_ROWS, _MOST_COLUMNS, _FOLDS = 30, 2000, 50, 3


def warnings_about(data: Dataset) -> tuple[Note, ...]:
    """Notes about columns that give the target away or number the rows, and about unequal classes.

    A column is said to give the target away if a decision tree that sees nothing else predicts new rows
    nearly perfectly (three folds; accuracy or R2 of 0.999) while most columns do not. Of a wide table the 50
    columns that are most strongly related to the target are tried.
    """
    notes = _class_notes(data)
    if isinstance(data.inputs, TableInputs):
        notes += [*_row_number_notes(data.inputs), *_leak_notes(data, data.inputs)]
    return tuple(notes)


def _class_notes(data: Dataset) -> list[Note]:
    if data.task != CLASSIFICATION:
        return []
    counts = np.bincount(data.y, minlength=len(data.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] < UNEQUAL * counts[least]:
        return []
    found = {"most": most, "least": least}
    names = {name: short(data.classes[at]) for name, at in found.items()}
    shares = {f"{name}_share": float(100 * counts[at] / counts.sum()) for name, at in found.items()}
    return [Note("note.unequal", names | shares)]


def _row_number_notes(inputs: TableInputs) -> list[Note]:
    return _about("row_numbers", [name for name in inputs.numeric if _numbers_rows(inputs.frame[name])])


def _about(key: str, columns: Sequence[str]) -> list[Note]:
    return [Note(f"note.{key}", {"name": quoted(name)}) for name in columns]


def _numbers_rows(column: pd.Series) -> bool:
    steps = np.diff(column.to_numpy(dtype=float))
    return bool(len(steps) and abs(steps[0]) == 1 and (steps == steps[0]).all())


def _leak_notes(data: Dataset, inputs: TableInputs) -> list[Note]:
    rows = np.random.default_rng(0).permutation(_once(inputs))[:_MOST_ROWS]
    y = data.y[rows]
    columns = _strongest(_columns(inputs, rows), y, data.task)
    same = [name for name, column in columns.items() if _renamed(column, y, data.task)]
    alone = [name for name in _perfect_alone(columns, y, data.task) if name not in same]
    return [*_about("renamed", same), *_about("alone", alone)]


def _once(inputs: TableInputs) -> Index:
    """Rows without their copies, by which any column would seem to tell the target of new rows."""
    first = np.sort(np.unique(inputs.row_hashes(), return_index=True)[1])
    return first if len(first) >= _LEAST_ROWS else np.arange(len(inputs.frame))


def _columns(inputs: TableInputs, rows: Index) -> Columns:
    frame = inputs.frame.iloc[rows]
    numbers = {name: _filled(frame[name].to_numpy(dtype=float)) for name in inputs.numeric}
    texts = {name: pd.factorize(frame[name], sort=True)[0].astype(float) for name in inputs.levels}
    return numbers | texts


def _filled(values: Floats) -> Floats:
    """Missing as one number below all others."""
    return np.where(np.isnan(values), np.nanmin(values, initial=0.0) - 1, values)


def _strongest(columns: Columns, y: npt.NDArray[Any], task: str) -> Columns:
    columns = {name: column for name, column in columns.items() if np.ptp(column) > 0}
    if len(columns) <= _MOST_COLUMNS:
        return columns
    score = f_classif if task == CLASSIFICATION else f_regression
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = np.nan_to_num(score(np.column_stack([*columns.values()]), y)[0])
    order = np.argsort(-strength, kind="stable")[:_MOST_COLUMNS]
    names = [*columns]
    return {names[at]: columns[names[at]] for at in sorted(order)}


def _renamed(column: Floats, y: npt.NDArray[Any], task: str) -> bool:
    if task != CLASSIFICATION:
        with np.errstate(divide="ignore", invalid="ignore"):  # the sample may hold one target only
            return bool(abs(np.corrcoef(column, y)[0, 1]) > 1 - 1e-12)
    pairs = len(np.unique(np.column_stack([column, y]), axis=0))
    return pairs == len(np.unique(column)) == len(np.unique(y))


def _perfect_alone(columns: Columns, y: npt.NDArray[Any], task: str) -> Sequence[str]:
    perfect = [name for name, column in columns.items() if _skill(column, y, task) >= PERFECT]
    return perfect if 2 * len(perfect) < len(columns) else ()


def _skill(column: Floats, y: npt.NDArray[Any], task: str) -> float:
    tree = (DecisionTreeClassifier if task == CLASSIFICATION else DecisionTreeRegressor)(random_state=0)
    folds = KFold(_FOLDS, shuffle=True, random_state=0)
    return float(cross_val_score(tree, column[:, None], y, cv=folds).mean())


def copies_note(data: Dataset, splits: Sequence[Split]) -> tuple[Note, ...]:
    """One note if select rows are copies of training rows: how many, and how many disagree."""
    _, rows = np.unique(data.inputs.row_hashes(), return_inverse=True)
    shared = [int(np.isin(rows[split.select], rows[split.train]).sum()) for split in splits]
    if not any(shared):
        return ()
    found: dict[str, float] = {
        "copies": int((np.bincount(rows)[rows] > 1).sum()),
        "rows": len(rows),
        "share": 100 * sum(shared) / sum(len(split.select) for split in splits),
    }
    if differ := _disagreeing(data, rows):
        return (Note("note.copies_differ", found | {"differ": differ}),)
    return (Note("note.copies", found),)


def _disagreeing(data: Dataset, rows: npt.NDArray[np.int64]) -> int:
    lowest, highest = np.full(rows.max() + 1, np.inf), np.full(rows.max() + 1, -np.inf)
    np.minimum.at(lowest, rows, data.y)
    np.maximum.at(highest, rows, data.y)
    return int((lowest != highest)[rows].sum())


def sealed_copies_note(opened: Dataset, vault: Dataset, splits: Sequence[Split]) -> tuple[Note, ...]:
    """One note if sealed rows are copies of rows that any pair trains on: how many of how many.

    Inputs are compared by their hashes, before anything is trained. No target and no score of a sealed row is
    looked at, so that nothing is opened.
    """
    trained = np.unique(np.concatenate([split.train for split in splits]))
    copies = int(np.isin(vault.inputs.row_hashes(), opened.inputs.row_hashes()[trained]).sum())
    if not copies:
        return ()
    rows = len(vault.y)
    return (Note("note.sealed_copies", {"n": copies, "rows": rows, "share": 100 * copies / rows}),)
