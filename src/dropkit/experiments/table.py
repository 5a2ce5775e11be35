"""Tables: named columns or arrays of numbers, encoded by scikit-learn fitted on the training part only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import (
    Columns,
    check_width,
    group_codes,
    in_short,
    quoted,
    short,
    time_ranks,
    time_values,
)
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, Floats, Index, Inputs
from dropkit.experiments.target import check_size, decide_target
from dropkit.experiments.words import text_column
from dropkit.report.messages import Note
from dropkit.report.words import printable

__all__ = ["TableInputs", "breast_cancer", "frame_dataset", "table_inputs"]

MAX_LEVELS = 50
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

    @property
    def n_words(self) -> int:
        """None: these are numbers."""
        return 0

    def take(self, rows: Index) -> TableInputs:
        """Some of the rows."""
        return replace(self, frame=self.frame.iloc[rows])

    def encoder(self, train: Index) -> Callable[[TableInputs], Floats]:
        """Median for missing numbers, zero mean and unit variance, one column a level."""
        fitted = self._encoder().fit(self.frame.iloc[train])
        return lambda inputs: np.asarray(fitted.transform(inputs.frame), dtype=np.float32)

    def content(self) -> bytes:
        """Hashes of the rows and the names of the columns."""
        return self.row_hashes().tobytes() + repr(list(self.frame.columns)).encode()

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """Of the cleaned cells of each row."""
        hashes: npt.NDArray[np.uint64] = pd.util.hash_pandas_object(self.frame, index=False).to_numpy()
        return hashes

    def _encoder(self) -> ColumnTransformer:
        numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
        texts = OneHotEncoder(
            categories=[list(names) for names in self.levels.values()],
            handle_unknown="ignore",
            sparse_output=False,
        )
        columns = [("numbers", numbers, list(self.numeric)), ("texts", texts, list(self.levels))]
        return ColumnTransformer([(name, step, names) for name, step, names in columns if names])


def frame_dataset(
    frame: pd.DataFrame,
    name: str,
    columns: Columns,
    task: str = "auto",
    notes: tuple[Note, ...] = (),
) -> Dataset:
    """A data set from a table with named columns.

    Args:
        frame: one row an example; numbers, text, booleans, missing cells.
        name: what the data set is called.
        columns: which column is the target, which one cuts the parts, which are left out.
        task: `auto`, `classification` or `regression`.
        notes: what reading it had to say.

    Raises:
        DropkitError: a column is not there or cannot do its part, or the target cannot be learned.
    """
    frame, target = frame.rename(columns=lambda name: printable(str(name))).infer_objects(), columns.target
    _check_columns(frame, columns)
    title = f"target {quoted(str(target))}"
    values, frame, dropped = _take_target(frame.drop(columns=list(columns.ignore)), str(target), title)
    decided = decide_target(title, values, task, quoted(str(target)))
    frame, groups, times = _take_order(frame, columns)
    inputs, cleaned = _inputs(frame, columns.text)
    return Dataset(
        name,
        decided.task,
        inputs,
        decided.y,
        decided.classes,
        notes=(*notes, *dropped, decided.note, *cleaned),
        groups=groups,
        times=times,
    )


def _inputs(frame: pd.DataFrame, text: str | None) -> tuple[Inputs, tuple[Note, ...]]:
    return text_column(frame, text) if text is not None else _clean(frame)


def table_inputs(x: npt.NDArray[Any], names: Sequence[str] | None = None) -> TableInputs:
    """Inputs from a two-dimensional array of numbers.

    >>> table_inputs(np.eye(3)).shape
    (3,)
    """
    if not np.issubdtype(x.dtype, np.number) and x.dtype != bool:
        raise DropkitError("data x", "must hold real numbers", x.dtype, "give text columns in a table")
    check_width(x.shape[1])
    return _clean(pd.DataFrame(x, columns=names).rename(columns=str))[0]


def breast_cancer() -> Dataset:
    """The 569 biopsies with 30 measures of cell nuclei that scikit-learn carries (Wisconsin, 1995).

    >>> breast_cancer().inputs.shape
    (30,)
    """
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    inputs, classes = table_inputs(data.data, data.feature_names), tuple(map(str, data.target_names))
    return Dataset("breast-cancer", CLASSIFICATION, inputs, data.target.astype(np.int64), classes)


def _check_columns(frame: pd.DataFrame, columns: Columns) -> None:
    names = list(frame.columns)
    check_width(len(names))
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise DropkitError("data", "must have columns of different names", twice, "rename one")
    if columns.target is None:
        rule = "must name the column to predict"
        raise DropkitError("target", rule, None, f"choose from {in_short(names)}")
    if columns.target not in names:
        _refuse_separator(names)
    columns.check(names)
    if columns.words:
        rule = "must be left out: it is for arrays of whole numbers"
        raise DropkitError("words", rule, True, "name the column of texts by text")
    if not set(names) - {*_roles(columns), *columns.ignore}:
        rule = "must have a column beside the target"
        raise DropkitError("data", rule, names, "bring columns to learn from")
    if frame.empty:
        raise DropkitError("data", "must hold rows below its header", "0 rows", "add rows")


def _roles(columns: Columns) -> tuple[str, ...]:
    return tuple(name for name in (columns.target, columns.group, columns.time) if name is not None)


def _refuse_separator(names: list[str]) -> None:
    found = next((sign for sign in ";\t|" if len(names) == 1 and sign in names[0].replace("\\t", "\t")), None)
    if found:
        rule = f"must have commas between its cells, not {found!r}"
        raise DropkitError("data", rule, names[0], "save it again with commas")


def _take_order(frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Index | None, Index | None]:
    groups = times = None
    if columns.group is not None:
        groups = group_codes(columns.group, frame[columns.group])
    if columns.time is not None:
        seconds = time_values(columns.time, frame[columns.time])
        times, frame = time_ranks(seconds), frame.assign(**{columns.time: seconds})
    used = [name for name in (columns.group, columns.time) if name is not None and not columns.keep]
    return frame.drop(columns=used), groups, times


def _take_target(
    frame: pd.DataFrame, column: str, name: str
) -> tuple[npt.NDArray[Any], pd.DataFrame, tuple[Note, ...]]:
    values = frame.pop(column)
    known = values.notna()
    if not known.any():
        rule = "must hold values: every row of it is empty"
        raise DropkitError(name, rule, "all missing", "name another column")
    values, missing = values[known], int((~known).sum())
    if types.is_numeric_dtype(values):
        _refuse_infinite(name, values)
    notes = (Note("note.no_target", {"n": missing}),) if missing else ()
    return _plain(values), frame[known.to_numpy()].reset_index(drop=True), notes


def _plain(values: pd.Series) -> npt.NDArray[Any]:
    number = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    return np.asarray(values if number else values.astype(str), dtype=None if number else object)


def _clean(frame: pd.DataFrame) -> tuple[TableInputs, tuple[Note, ...]]:
    empty = [name for name in frame.columns if frame[name].isna().all()]
    frame = frame.drop(columns=empty)
    if frame.shape[1] == 0:
        raise DropkitError(
            "data", "must have a column with values", "all missing", "bring columns to learn from"
        )
    numbers = {name: frame[name] for name in frame.columns if types.is_numeric_dtype(frame[name])}
    for name, column in numbers.items():
        _refuse_infinite(f"column {quoted(name)}", column)
        check_size(f"column {quoted(name)}", float(column.astype(float).abs().max()))
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
) -> tuple[Note, ...]:
    missing = int(frame.isna().sum().sum())
    wide = [name for name, names in levels.items() if _OTHER in names]
    notes = (
        (empty, Note("note.empty_columns", {"names": [*map(short, empty)]})),
        (missing, Note("note.missing_cells", {"n": missing})),
        (levels, Note("note.text_columns", {"names": [*map(short, levels)]})),
        (wide, Note("note.levels", {"kept": MAX_LEVELS - 1, "names": [*map(short, wide)]})),
    )
    return tuple(note for applies, note in notes if applies)
