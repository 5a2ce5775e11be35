"""What a study trains on: encoded inputs, a target, and splits that every arm shares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "CLASSIFICATION",
    "REGRESSION",
    "Dataset",
    "ImageInputs",
    "Inputs",
    "Parts",
    "Split",
]

CLASSIFICATION = "classification"
REGRESSION = "regression"
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

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """One number a row; rows that are equal in every input have equal numbers."""


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

    def row_hashes(self) -> npt.NDArray[np.uint64]:
        """Of the bytes of each image."""
        digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in self.pixels)
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
    notes: tuple[str, ...] = ()
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

    def parts(self, split: Split) -> Parts:
        """The encoded parts of one split."""
        train, select, test = self.inputs.encode(split)
        return Parts(train, self.y[split.train], select, self.y[split.select], test, self.y[split.test])

    def digest(self) -> str:
        """Hash of every byte that is learned from or cut by."""
        content = hashlib.sha256(self.inputs.content())
        for name, values in (("y", self.y), ("groups", self.groups), ("times", self.times)):
            if values is not None:
                content.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return content.hexdigest()[:16]
