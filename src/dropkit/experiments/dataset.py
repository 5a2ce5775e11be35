"""What a study trains on: encoded inputs, a target, and splits that every arm shares."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from dropkit.report.messages import Note

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "ImageInputs",
    "Inputs",
    "Parts",
    "Split",
    "hash_rows",
]

CLASSIFICATION = "classification"
REGRESSION = "regression"
Floats = npt.NDArray[np.float32]
Index = npt.NDArray[np.int64]
Rows = Floats | Index


@dataclass(frozen=True)
class Split:
    """Row numbers of the parts that a pair draws: trained on, stopped on, chosen and compared on."""

    train: Index
    stop: Index
    select: Index


@dataclass(frozen=True)
class Parts:
    """One split, encoded: inputs, as float32 or numbers of words, and the target of each part."""

    x_train: Rows
    y_train: npt.NDArray[Any]
    x_stop: Rows
    y_stop: npt.NDArray[Any]
    x_select: Rows
    y_select: npt.NDArray[Any]


class Inputs(Protocol):
    """The inputs of a data set; whatever encodes them is fitted on a training part alone."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one encoded row."""

    @property
    def n_words(self) -> int:
        """Below which all encoded inputs lie where they are numbers of words, else 0."""

    def take(self, rows: Index) -> Self:
        """Some of the rows, numbered anew."""

    def encoder(self, train: Index) -> Callable[[Self], Rows]:
        """What encodes any rows of this kind, fitted on the training part."""

    def content(self) -> bytes:
        """Bytes that change when the inputs change."""

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """One number a row; rows that are equal in every input have equal numbers."""


@dataclass(frozen=True)
class ImageInputs:
    """Images (rows, channels, height, width) or sequences (rows, steps, features), over a fixed scale."""

    pixels: npt.NDArray[Any]
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Channels, height, width; or steps, features."""
        return self.pixels.shape[1:]

    @property
    def n_words(self) -> int:
        """None: these are numbers."""
        return 0

    def take(self, rows: Index) -> ImageInputs:
        """Some of the images."""
        return ImageInputs(self.pixels[rows], self.scale)

    def encoder(self, train: Index) -> Callable[[ImageInputs], Floats]:
        """Division by the scale: nothing is fitted."""
        return lambda inputs: (inputs.pixels / inputs.scale).astype(np.float32)

    def content(self) -> bytes:
        """The pixels, and how they are laid out."""
        layout = f"{self.pixels.dtype} {self.shape} {self.scale}"
        return layout.encode() + np.ascontiguousarray(self.pixels).tobytes()

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """Of the bytes of each image."""
        return hash_rows(self.pixels)


def hash_rows(rows: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """One number a row of an array, from its bytes.

    >>> len(set(hash_rows(np.array([[1, 2], [1, 3], [1, 2]])).tolist()))
    2
    """
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return np.frombuffer(digests, dtype=np.uint64)


@dataclass(frozen=True)
class Dataset:
    """A named data set; `y` holds class numbers (int64) or values (float64).

    `groups` numbers the rows that must stay together in one part, `times` ranks the rows that must be cut
    forward in time; at most one of them is given.
    """

    name: str
    task: str
    inputs: Inputs
    y: npt.NDArray[Any]
    classes: tuple[str, ...] = ()
    train_rows: int | None = None
    notes: tuple[Note, ...] = ()
    groups: Index | None = None
    times: Index | None = None

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

    def take(self, rows: Index) -> Dataset:
        """Some of the rows, numbered anew."""
        groups, times = (None if each is None else each[rows] for each in (self.groups, self.times))
        return replace(self, inputs=self.inputs.take(rows), y=self.y[rows], groups=groups, times=times)

    def parts(self, split: Split) -> Parts:
        """The encoded parts of one split."""
        encode = self.inputs.encoder(split.train)
        train, stop, select = (
            encode(self.inputs.take(rows)) for rows in (split.train, split.stop, split.select)
        )
        return Parts(train, self.y[split.train], stop, self.y[split.stop], select, self.y[split.select])

    def digest(self) -> str:
        """Hash of every byte that is learned from or cut by."""
        content = hashlib.sha256(self.inputs.content())
        for name, values in (("y", self.y), ("groups", self.groups), ("times", self.times)):
            if values is not None:
                content.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return content.hexdigest()[:16]
