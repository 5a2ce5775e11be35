"""The columns of a table that are more than inputs: target, group, time, text, and those to be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pandas.api import types

from dropkit.core.check import DropkitError, suggest
from dropkit.experiments.dataset import Index
from dropkit.report.words import counted, printable

__all__ = [
    "MAX_COLUMNS",
    "Columns",
    "check_width",
    "group_codes",
    "in_short",
    "quoted",
    "short",
    "time_ranks",
    "time_values",
]

MAX_COLUMNS = 10_000

_NAMES, _NAME_LENGTH = 12, 40


@dataclass(frozen=True)
class Columns:
    """What a user says about columns.

    Args:
        target: the column to predict; of an .npz file the array, `y` by default.
        group: rows of one group stay together in one part; a column's name, or one value a row for arrays.
        time: parts are cut forward in time; likewise.
        ignore: columns to leave out.
        keep: whether the group and the time column are inputs as well.
        text: the column of texts that is learned from, alone.
        words: whether an array's whole numbers are those of words: 0 is padding, 1 an unknown word.
    """

    target: str | None = None
    group: Any = None
    time: Any = None
    ignore: Sequence[str] = ()
    keep: bool = False
    text: str | None = None
    words: bool = False

    def __post_init__(self) -> None:
        if self.group is not None and self.time is not None:
            rule = "cannot be given beside group: parts are cut by one of them"
            raise DropkitError("time", rule, self.time, "leave one out")
        if isinstance(self.ignore, str) or not all(isinstance(name, str) for name in self.ignore):
            raise DropkitError("ignore", "must be a list of column names", self.ignore, "write ['NAME']")
        if self.text is not None and self.keep:
            rule = "cannot be given beside text, which is learned from alone"
            raise DropkitError("keep_columns", rule, True, "leave one out")

    def given(self) -> dict[str, Any]:
        """What was said, by argument."""
        said = {
            "target": self.target,
            "group": self.group,
            "time": self.time,
            "ignore": self.ignore or None,
            "text": self.text,
        }
        return {argument: value for argument, value in said.items() if value is not None}

    def refuse(self, source: str, but: Sequence[str] = ()) -> None:
        """Refuse what a source without named columns cannot follow."""
        for argument, value in self.given().items():
            if argument not in but:
                rule = f"must be left out: {source} has no named columns"
                raise DropkitError(argument, rule, value, "leave it out, or bring a table")
        if self.words and "words" not in but:
            rule = f"must be left out: {source} has no arrays of whole numbers"
            raise DropkitError("words", rule, True, "leave it out")

    def check(self, names: Sequence[str]) -> None:
        """Refuse what is no column of the table, and a column with two parts to play."""
        for argument, value in self.given().items():
            for name in value if argument == "ignore" else [value]:
                _check_name(argument, name, names)
                if argument != "target" and name == self.target:
                    raise DropkitError(argument, "must not be the target", name, "name another column")
        used = [("group", self.group), ("time", self.time), *(("ignore", name) for name in self.ignore)]
        for argument, name in used:
            if name is not None and name == self.text:
                raise DropkitError(
                    "text", f"must not be named by {argument} too", name, "name another column"
                )


def _check_name(argument: str, name: Any, names: Sequence[str]) -> None:
    if not isinstance(name, str):
        raise DropkitError(
            argument, "must name a column of the table by text", name, f"choose from {in_short(names)}"
        )
    if name not in names:
        mend = suggest(name, names, otherwise=f"choose from {in_short(names)}")
        raise DropkitError(argument, "must be a column of the table", name, mend)


def group_codes(name: str, values: pd.Series) -> Index:
    """Number the groups as they come; a row without one is refused.

    >>> group_codes("patient", pd.Series(["b", "a", "b"])).tolist()
    [0, 1, 0]
    """
    _refuse_missing("group", name, values, "write who they belong to, or remove the rows")
    codes, _ = pd.factorize(values.astype(str))
    return np.asarray(codes, dtype=np.int64)


def time_ranks(values: npt.NDArray[np.float64]) -> Index:
    """Rank times, equal ones alike.

    >>> time_ranks(np.array([3.5, 1.0, 3.5])).tolist()
    [1, 0, 1]
    """
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def time_values(name: str, values: pd.Series) -> npt.NDArray[np.float64]:
    """Times as numbers: numbers as they are, dates as seconds since 1970.

    >>> time_values("day", pd.Series(["1970-01-01", "1970-01-02"])).tolist()
    [0.0, 86400.0]
    """
    _refuse_missing("time", name, values, "write when they were taken, or remove the rows")
    if types.is_numeric_dtype(values) and not types.is_complex_dtype(values):
        return _finite_times(name, np.asarray(values, dtype=float))
    dates = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    if dates.isna().any():
        rule = f"must hold numbers or ISO dates in {quoted(name)}, which sort without doubt"
        bad = printable(str(values[dates.isna()].iloc[0]), _NAME_LENGTH)
        raise DropkitError("time", rule, bad, "write e.g. 2026-01-31")
    return np.asarray((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1), dtype=float)


def _finite_times(name: str, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if not np.isfinite(times).all():
        raise DropkitError(
            "time", f"must be finite in {quoted(name)}", times[~np.isfinite(times)][0], "mend the cell"
        )
    return times


def _refuse_missing(argument: str, name: str, values: pd.Series, mend: str) -> None:
    missing = int(values.isna().sum())
    if missing:
        rule = f"must be known for every row: {quoted(name)} has empty cells"
        raise DropkitError(argument, rule, counted(missing, "empty cell"), mend)


def check_width(count: int) -> None:
    """Refuse more columns than can be prepared in the time of a study."""
    if count > MAX_COLUMNS:
        rule = f"must have at most {MAX_COLUMNS:,} columns"
        mend = "choose columns beforehand, or reduce them (for instance by principal components)"
        raise DropkitError("data", rule, count, mend)


def quoted(name: str) -> str:
    """A column's name for a sentence, printable and cut."""
    return f"'{short(name)}'"


def short(name: str) -> str:
    """A stranger's name, printable and cut."""
    return printable(name, _NAME_LENGTH)


def in_short(names: Sequence[str]) -> str:
    """The first names of a list, each cut, and how many more there are.

    >>> in_short([f"c{i}" for i in range(100)])
    'c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 and 88 more'
    """
    first = ", ".join(map(short, names[:_NAMES]))
    return first if len(names) <= _NAMES else f"{first} and {len(names) - _NAMES} more"
