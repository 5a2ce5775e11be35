import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Split
from dropkit.experiments.images import FASHION_VARIABLE, digits, fashion_mnist, read_idx

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint8).reshape(3, 28, 28)


def write_idx(path: Path, array: Any, magic: int | None = None) -> None:
    header = struct.pack(f">{1 + array.ndim}I", magic or 0x0800 + array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", IMAGES)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.array([0, 1, 9], dtype=np.uint8))
    return tmp_path


def test_idx_files_are_read_back(folder: Path) -> None:
    assert np.array_equal(read_idx(folder / "train-images-idx3-ubyte.gz", 3), IMAGES)


def test_fashion_mnist_is_both_parts_from_a_folder_or_the_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fashion_mnist(folder).inputs.shape == (1, 28, 28)
    monkeypatch.setenv(FASHION_VARIABLE, str(folder))
    data = fashion_mnist()
    assert data.y.tolist() == [0, 1, 9, 0, 1, 9]
    assert data.train_rows == 1000


def test_pixels_are_scaled_to_one() -> None:
    split = Split(np.arange(1000), np.arange(1000, 1400), np.arange(1400, 1797))
    inputs = digits().inputs
    train = inputs.encoder(split.train)(inputs.take(split.train))
    assert train.dtype == np.float32
    assert (train.min(), train.max()) == (0.0, 1.0)


def damage(folder: Path, kind: str) -> None:
    images, labels = folder / "train-images-idx3-ubyte.gz", folder / "train-labels-idx1-ubyte.gz"
    if kind == "absent":
        images.unlink()
    elif kind == "cut":
        images.write_bytes(images.read_bytes()[:-40])
    elif kind == "not gzip":
        images.write_bytes(b"<html>not found</html>")
    elif kind == "labels for images":
        images.write_bytes(labels.read_bytes())
    elif kind == "too few labels":
        write_idx(labels, np.array([1], dtype=np.uint8))
    else:
        write_idx(labels, np.array([1, 2, 200], dtype=np.uint8))


@pytest.mark.parametrize(
    "kind", ["absent", "cut", "not gzip", "labels for images", "too few labels", "unknown label"]
)
def test_a_damaged_folder_is_refused_with_the_command_to_type(folder: Path, kind: str) -> None:
    damage(folder, kind)
    with pytest.raises(DropkitError, match=r"^folder must hold .*apt-get install dataset-fashion-mnist"):
        fashion_mnist(folder)
