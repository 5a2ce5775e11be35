"""Tables: CSV files and arrays of numbers, encoded by scikit-learn fitted on the training part only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dropkit.core.check import DropkitError, suggest
from dropkit.experiments.dataset import Dataset, Floats, Split, decide_target
from dropkit.experiments.reading import in_short, read_table
from dropkit.report.words import printable

__all__ = ["TableInputs", "csv_dataset", "table_inputs"]

MAX_LEVELS = 50
_NAME_LENGTH = 40
_OTHER, _MISSING = "(other)", "(missing)"


@dataclass(frozen=True)
class TableInputs:
    """A cleaned table. The list of levels is fixed beforehand so that every split has the same width."""

    frame: pd.DataFrame
    numeric: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]

    @property
    def shape(self) -> tuple[int, ...]:
        """One number per numeric column and per level of a text column."""
        return (len(self.numeric) + sum(len(names) for names in self.levels.values()),)

    def encode(self, split: Split) -> tuple[Floats, Floats, Floats]:
        """Median for missing numbers, zero mean and unit variance, one column a level."""
        fitted = self._encoder().fit(self.frame.iloc[split.train])
        train, select, test = (
            np.asarray(fitted.transform(self.frame.iloc[rows]), dtype=np.float32)
            for rows in (split.train, split.select, split.test)
        )
        return train, select, test

    def content(self) -> bytes:
        """Hashes of the rows and the names of the columns."""
        rows: npt.NDArray[Any] = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return rows.tobytes() + repr(list(self.frame.columns)).encode()

    def _encoder(self) -> ColumnTransformer:
        numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        texts = OneHotEncoder(
            categories=[list(names) for names in self.levels.values()],
            handle_unknown="ignore",
            sparse_output=False,
        )
        columns = [("numbers", numbers, list(self.numeric)), ("texts", texts, list(self.levels))]
        return ColumnTransformer([(name, step, names) for name, step, names in columns if names])


def csv_dataset(path: str | Path, target: str | None, task: str = "auto") -> Dataset:
    """Read a CSV file with a header line; `target` names the column to predict.

    Args:
        path: of the file; UTF-8, else read as Latin-1 with a note.
        target: a column's name.
        task: `auto`, `classification` or `regression`.

    Raises:
        DropkitError: the file cannot be read, holds no rows, or its target cannot be learned.
    """
    frame, notes = read_table(Path(path))
    column = _check_target(frame, target)
    name = f"target {_quoted(column)}"
    values, frame, dropped = _take_target(frame, column, name)
    decided = decide_target(name, values, task)
    inputs, cleaned = _clean(frame)
    notes = (*notes, *dropped, decided.note, *cleaned)
    return Dataset(Path(path).name, decided.task, inputs, decided.y, decided.classes, notes=notes)


def table_inputs(x: npt.NDArray[Any]) -> TableInputs:
    """Inputs from a two-dimensional array of numbers.

    >>> table_inputs(np.eye(3)).shape
    (3,)
    """
    if not np.issubdtype(x.dtype, np.number) and x.dtype != bool:
        raise DropkitError("data x", "must hold real numbers", x.dtype, "give text columns in a CSV file")
    return _clean(pd.DataFrame(x).rename(columns=str))[0]


def _check_target(frame: pd.DataFrame, target: str | None) -> str:
    names = list(frame.columns)
    if target is None:
        raise DropkitError(
            "target", "must name the column to predict", None, f"choose from {in_short(names)}"
        )
    if target not in names:
        _refuse_separator(names)
        mend = suggest(target, names, otherwise=f"choose from {in_short(names)}")
        raise DropkitError("target", "must be a column of the file", target, mend)
    if len(names) == 1:
        raise DropkitError(
            "data", "must have a column beside the target", names, "bring columns to learn from"
        )
    if frame.empty:
        raise DropkitError("data", "must hold rows below its header", "0 rows", "add rows")
    return target


def _refuse_separator(names: list[str]) -> None:
    found = next((sign for sign in ";\t|" if len(names) == 1 and sign in names[0].replace("\\t", "\t")), None)
    if found:
        rule = f"must have commas between its cells, not {found!r}"
        raise DropkitError("data", rule, names[0], "save it again with commas")


def _quoted(name: str) -> str:
    return f"'{printable(name, _NAME_LENGTH)}'"


def _take_target(
    frame: pd.DataFrame, column: str, name: str
) -> tuple[npt.NDArray[Any], pd.DataFrame, tuple[str, ...]]:
    values = frame.pop(column)
    known = values.notna()
    if not known.any():
        rule = "must hold values: every row of it is empty"
        raise DropkitError(name, rule, "all missing", "name another column")
    values, missing = values[known], int((~known).sum())
    if types.is_numeric_dtype(values):
        _refuse_infinite(name, values)
    notes = (f"rows without a target, left out: {missing}",) if missing else ()
    return _plain(values), frame[known.to_numpy()].reset_index(drop=True), notes


def _plain(values: pd.Series) -> npt.NDArray[Any]:
    number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    return np.asarray(values if number else values.astype(str), dtype=None if number else object)


def _clean(frame: pd.DataFrame) -> tuple[TableInputs, tuple[str, ...]]:
    empty = [name for name in frame.columns if frame[name].isna().all()]
    frame = frame.drop(columns=empty)
    if frame.shape[1] == 0:
        raise DropkitError(
            "data", "must have a column with values", "all missing", "bring columns to learn from"
        )
    numbers = {name: frame[name] for name in frame.columns if types.is_numeric_dtype(frame[name])}
    for name, column in numbers.items():
        _refuse_infinite(f"column {_quoted(name)}", column)
    numeric = {name: column.astype(float) for name, column in numbers.items()} | _missing_flags(numbers)
    texts = {name: _limit_levels(frame[name]) for name in frame.columns if name not in numbers}
    levels = {name: tuple(sorted(column.unique())) for name, column in texts.items()}
    cleaned = pd.DataFrame(numeric | texts, index=frame.index)
    return TableInputs(cleaned, tuple(numeric), levels), _cleaning_notes(empty, frame, levels)


def _refuse_infinite(name: str, column: pd.Series) -> None:
    if types.is_complex_dtype(column):
        raise DropkitError(name, "must hold real numbers", column.iloc[0], "split it into two columns")
    bad = np.isinf(column.to_numpy(dtype=float, na_value=np.nan))
    if bad.any():
        row = int(bad.argmax())
        rule = f"must be finite (row {row + 1} below the header)"
        raise DropkitError(name, rule, float(column.iloc[row]), "leave the cell empty or remove the row")


def _missing_flags(numbers: dict[str, pd.Series]) -> dict[str, pd.Series]:
    return {f"{name} is missing": c.isna().astype(float) for name, c in numbers.items() if c.isna().any()}


def _limit_levels(column: pd.Series) -> pd.Series:
    text = column.astype(object).where(column.notna(), _MISSING).astype(str)
    common = text.value_counts().index[: MAX_LEVELS - 1]
    return text if text.nunique() <= MAX_LEVELS else text.where(text.isin(common), _OTHER)


def _cleaning_notes(
    empty: list[str], frame: pd.DataFrame, levels: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    missing = int(frame.isna().sum().sum())
    wide = [name for name, names in levels.items() if _OTHER in names]
    notes = {
        f"empty columns, left out: {in_short(empty)}": empty,
        f"missing cells: {missing}; numbers become the training median with a flag, text a level": missing,
        f"text columns, as one number a level: {in_short(list(levels))}": levels,
        f"only the {MAX_LEVELS - 1} commonest levels kept in: {in_short(wide)}": wide,
    }
    return tuple(note for note, applies in notes.items() if applies)
