"""What a study trains on: encoded inputs, a target, and splits that every arm shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dropkit.core.check import DropkitError
from dropkit.report.words import counted

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "ImageInputs",
    "Inputs",
    "Parts",
    "Split",
    "array_dataset",
]

CLASSIFICATION = "classification"
REGRESSION = "regression"
MAX_CLASSES = 20
MIN_ROWS = 60
MIN_CLASS_ROWS = 10

Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Row numbers of the three parts of one pair: trained on, chosen on, judged on."""

    train: Index
    select: Index
    test: Index


@dataclass(frozen=True)
class Parts:
    """One split, encoded: inputs as float32 and the target of each part."""

    x_train: Floats
    y_train: npt.NDArray[Any]
    x_select: Floats
    y_select: npt.NDArray[Any]
    x_test: Floats
    y_test: npt.NDArray[Any]


class Inputs(Protocol):
    """The inputs of a data set; whatever is fitted in `encode` is fitted on the training part only."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one encoded row."""

    def encode(self, split: Split) -> tuple[Floats, Floats, Floats]:
        """Encode the three parts of a split."""

    def content(self) -> bytes:
        """Bytes that change when the inputs change."""


@dataclass(frozen=True)
class ImageInputs:
    """Arrays of shape (rows, channels, height, width), divided by a fixed scale."""

    pixels: npt.NDArray[Any]
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height, width."""
        return self.pixels.shape[1:]

    def encode(self, split: Split) -> tuple[Floats, Floats, Floats]:
        """Divide by the scale; nothing is fitted."""
        train, select, test = (
            (self.pixels[rows] / self.scale).astype(np.float32)
            for rows in (split.train, split.select, split.test)
        )
        return train, select, test

    def content(self) -> bytes:
        """The pixels."""
        return np.ascontiguousarray(self.pixels).tobytes()


@dataclass(frozen=True)
class Dataset:
    """A named data set; `y` holds class numbers (int64) or values (float64)."""

    name: str
    task: str
    inputs: Inputs
    y: npt.NDArray[Any]
    classes: tuple[str, ...] = ()
    train_rows: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Classes, or 1 for regression."""
        return len(self.classes) if self.task == CLASSIFICATION else 1

    @property
    def guess_error(self) -> float:
        """Error of always saying the commonest class; for regression the RMSE of always saying the mean."""
        if self.task == CLASSIFICATION:
            return 1 - float(np.bincount(self.y).max()) / len(self.y)
        return float(self.y.std())

    def parts(self, split: Split) -> Parts:
        """The encoded parts of one split."""
        train, select, test = self.inputs.encode(split)
        return Parts(train, self.y[split.train], select, self.y[split.select], test, self.y[split.test])

    def digest(self) -> str:
        """Hash of every byte that is learned from."""
        content = hashlib.sha256(self.inputs.content())
        content.update(np.ascontiguousarray(self.y).tobytes())
        return content.hexdigest()[:16]


@dataclass(frozen=True)
class Target:
    """A decided target: the task, the encoded values and, for classes, their names."""

    task: str
    y: npt.NDArray[Any]
    classes: tuple[str, ...]
    note: str


def decide_target(name: str, values: npt.NDArray[Any], task: str = "auto") -> Target:
    """Decide classification or regression from the target, and refuse one that nothing can be learned from.

    Text, booleans and whole numbers of at most 20 different values are classes; other numbers are values.

    >>> decide_target("price", np.linspace(0, 1, 80)).task
    'regression'
    """
    check_rows(name, len(values))
    numeric = np.issubdtype(values.dtype, np.number)
    chosen = _guess_task(values, numeric) if task == "auto" else task
    how = "decided from its values" if task == "auto" else "as asked"
    if chosen == CLASSIFICATION:
        return _classes(name, values, how)
    return _values(name, values, numeric, how)


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


def _classes(name: str, values: npt.NDArray[Any], how: str) -> Target:
    levels, y, counts = np.unique(values.astype(str), return_inverse=True, return_counts=True)
    if len(levels) < 2:
        rule = "must hold at least two classes"
        raise DropkitError(name, rule, str(levels[0]), "name another column, or add rows of another class")
    if counts.min() < MIN_CLASS_ROWS:
        rare = levels[counts.argmin()]
        rule = f"needs at least {MIN_CLASS_ROWS} rows of every class"
        mend = "merge or remove rare classes, or ask for task=regression if the target is a quantity"
        raise DropkitError(name, rule, f"{rare}: {counted(int(counts.min()), 'row')}", mend)
    note = f"{name} has {len(levels)} classes: a classification, {how}"
    return Target(CLASSIFICATION, y.astype(np.int64), tuple(str(level) for level in levels), note)


def _values(name: str, values: npt.NDArray[Any], numeric: bool, how: str) -> Target:
    if not numeric:
        first = values[0]
        raise DropkitError(name, "must be numeric for a regression", first, "ask for task=classification")
    if np.ptp(values) == 0:
        rule = "must vary: a constant target leaves nothing to learn"
        raise DropkitError(name, rule, values[0], "name another column")
    note = f"{name} has {len(np.unique(values))} different numbers: a regression, {how}"
    return Target(REGRESSION, values.astype(np.float64), (), note)


def array_dataset(x: Any, y: Any, task: str = "auto") -> Dataset:
    """A data set from arrays: images (rows, channels, height, width) taken as they are.

    Rows of numbers, of shape (rows, columns), are standardised like a table.

    >>> array_dataset(np.zeros((80, 1, 4, 4)), np.arange(80) % 2).task
    'classification'
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim not in (2, 4) or y.ndim != 1 or len(x) != len(y):
        rule = "must be (x, y) of as many rows, y one-dimensional"
        mend = "give x as (rows, columns) or (rows, channels, height, width)"
        raise DropkitError("data", rule, (x.shape, y.shape), mend)
    for name, values in (("data x", x), ("data y", y)):
        check_finite(name, values)
    target = decide_target("data y", y, task)
    return Dataset("arrays", target.task, _array_inputs(x), target.y, target.classes, notes=(target.note,))


def check_finite(name: str, values: npt.NDArray[Any]) -> None:
    """Refuse NaN and infinity."""
    if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
        bad = values[~np.isfinite(values)][0]
        raise DropkitError(name, "must be finite", bad, "remove or replace such entries")


def _array_inputs(x: npt.NDArray[Any]) -> Inputs:
    from dropkit.experiments.table import table_inputs

    return ImageInputs(x, scale=1.0) if x.ndim == 4 else table_inputs(x)
