"""The image data sets: scikit-learn's digits and Fashion-MNIST from Debian's package."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, Dataset, ImageInputs
from dropkit.report.messages import Note

__all__ = ["FASHION_FOLDER", "FASHION_VARIABLE", "digits", "fashion_mnist", "read_idx"]

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_VARIABLE = "DROPKIT_FASHION_MNIST"
_FASHION_CLASSES = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"
)  # fmt: skip


def digits() -> Dataset:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn carries.

    >>> digits().inputs.shape
    (1, 8, 8)
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = data.images.astype(np.uint8)[:, None]
    classes = tuple(str(name) for name in data.target_names)
    return Dataset("digits", CLASSIFICATION, ImageInputs(pixels, 16.0), data.target.astype(np.int64), classes)


def fashion_mnist(folder: str | Path | None = None) -> Dataset:
    """The 70,000 images of 28 x 28 pixels of Fashion-MNIST, both published parts pooled.

    Args:
        folder: of the four gzip IDX files; default the variable DROPKIT_FASHION_MNIST, else Debian's place.

    Raises:
        DropkitError: a file is missing or is not what its name says.
    """
    place = Path(folder or os.environ.get(FASHION_VARIABLE) or FASHION_FOLDER)
    pixels = np.concatenate([_read(place, f"{part}-images-idx3-ubyte.gz", 3) for part in ("train", "t10k")])
    labels = np.concatenate([_read(place, f"{part}-labels-idx1-ubyte.gz", 1) for part in ("train", "t10k")])
    if len(pixels) != len(labels) or labels.max() > 9:
        raise DropkitError("folder", "must hold one label below 10 for each image", str(place), _mend())
    inputs = ImageInputs(pixels[:, None], 255.0)
    y, notes = labels.astype(np.int64), (Note("note.fashion"),)
    return Dataset("fashion-mnist", CLASSIFICATION, inputs, y, _FASHION_CLASSES, 1000, notes)


def _mend() -> str:
    return (
        f"type: apt-get install dataset-fashion-mnist, or name a folder with --folder or {FASHION_VARIABLE}"
    )


def _read(place: Path, name: str, axes: int) -> npt.NDArray[Any]:
    path = place / name
    try:
        return read_idx(path, axes)
    except (OSError, EOFError, ValueError, struct.error) as error:
        rule = f"must hold the gzip IDX file {name} ({type(error).__name__})"
        raise DropkitError("folder", rule, str(place), _mend()) from error


def read_idx(path: Path, axes: int) -> npt.NDArray[Any]:
    """Read a gzip IDX file of unsigned bytes: 0, 0, type 8, the number of axes, their sizes, the data."""
    with gzip.open(path) as file:
        magic, *sizes = struct.unpack(f">{1 + axes}I", file.read(4 * (1 + axes)))
        data = np.frombuffer(file.read(), dtype=np.uint8)
    if magic != 0x0800 + axes:
        raise ValueError(f"not an IDX file of {axes} axes of bytes: {path}")
    return data.reshape(sizes)
