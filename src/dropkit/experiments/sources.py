"""Where data come from: a name, a file, a folder, a function of the user's, or objects in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
    default_convert,
)
from torch.utils.data import Dataset as TorchDataset

from dropkit.core.check import DropkitError, suggest
from dropkit.experiments.arrays import MEND_Y, array_dataset, npz_dataset, plain_array, torch_dataset
from dropkit.experiments.columns import Columns
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.folder_images import folder_dataset
from dropkit.experiments.images import digits, fashion_mnist
from dropkit.experiments.leaks import warnings_about
from dropkit.experiments.reading import read_parquet, read_table
from dropkit.experiments.table import breast_cancer, frame_dataset
from dropkit.experiments.user_file import is_spec, load_function, reason
from dropkit.report.messages import Note

__all__ = ["FORMS", "load_data"]

FORMS = (
    "digits",
    "fashion-mnist",
    "breast-cancer",
    "FILE.csv",
    "FILE.parquet",
    "FILE.npz",
    "FOLDER/class/*.png",
    "FILE.py:make_data",
)
"""What a text that names data may look like."""

_MEND_DATA = "write FILE.py:make_data, a function without arguments that returns (x, y) or a torch Dataset"


def load_data(
    data: Any, columns: Columns | None = None, task: str = "auto", folder: str | Path | None = None
) -> Dataset:
    """The data set that a name, a file, a folder, a function or an object in memory means, looked over.

    Args:
        data: one of `FORMS`, arrays (x, y), a pandas DataFrame, or a torch Dataset or DataLoader.
        columns: target, group, time, text, and what to leave out.
        task: `auto`, `classification` or `regression`.
        folder: of the Fashion-MNIST files.

    Raises:
        DropkitError: the data cannot be read or learned from, or have no such columns.
    """
    if folder is not None and data != "fashion-mnist":
        rule = "must be left out: only fashion-mnist is read from it"
        raise DropkitError("folder", rule, str(folder), "name your own folder of images with data")
    loaded = _load(data, columns or Columns(), task, folder)
    return replace(loaded, notes=(*loaded.notes, *warnings_about(loaded)))


def _load(data: Any, columns: Columns, task: str, folder: str | Path | None) -> Dataset:
    if isinstance(data, str | Path):
        return _named(str(data), columns, folder) or _read(str(data), columns, task)
    return _in_memory(data, columns, task)


def _named(data: str, columns: Columns, folder: str | Path | None) -> Dataset | None:
    if data not in FORMS:
        return None
    columns.refuse(data)
    if data == "fashion-mnist":
        return fashion_mnist(folder)
    return {"digits": digits, "breast-cancer": breast_cancer}[data]()


def _read(data: str, columns: Columns, task: str) -> Dataset:
    path, kind = Path(data), Path(data).suffix.lower()
    if is_spec(data):
        return _in_memory(_made(data), columns, task)
    if kind == ".csv":
        frame, notes = read_table(path)
        return frame_dataset(frame, path.name, columns, task, notes)
    if kind in (".parquet", ".pq"):
        return frame_dataset(read_parquet(path), path.name, columns, task)
    if kind == ".npz":
        return npz_dataset(path, columns, task)
    if data and path.is_dir():
        columns.refuse(f"folder {path.name}")
        return folder_dataset(path)
    raise _unknown(data)


def _unknown(data: Any) -> DropkitError:
    rule = f"must be one of {', '.join(FORMS)}, arrays (x, y), a DataFrame or a torch Dataset"
    if not isinstance(data, str):
        return DropkitError("data", rule, data, "give (x, y), or a DataFrame and target=")
    return DropkitError("data", rule, data, _MEND_DATA if data.endswith(".py") else suggest(data, FORMS))


def _made(spec: str) -> Any:
    function = load_function("data", spec, _MEND_DATA)
    try:
        made = function()
    except DropkitError:
        raise
    except (Exception, SystemExit) as error:
        rule = f"{spec.rpartition(':')[2]} must return data, called with nothing: {reason(error)}"
        raise DropkitError("data", rule, spec, _MEND_DATA) from error
    if isinstance(made, str | Path) or made is None:
        raise DropkitError("data", "must be made by the function, not named", made, _MEND_DATA)
    return made


def _in_memory(data: Any, columns: Columns, task: str) -> Dataset:
    if isinstance(data, pd.DataFrame):
        return frame_dataset(data.reset_index(drop=True), "table", columns, task)
    if isinstance(data, DataLoader):
        loaded = _in_memory(_dataset_of(data), columns, task)
        return replace(loaded, notes=(*loaded.notes, Note("note.loader")))
    if not isinstance(data, TorchDataset) and not _is_pair(data):
        raise _unknown(data)
    if not isinstance(data, TorchDataset) and isinstance(data[0], pd.DataFrame):
        return _frame_and_target(data[0], data[1], columns, task)
    columns.refuse("an array", but=("group", "time", "words"))
    given: dict[str, Any] = {"group": columns.group, "time": columns.time, "words": columns.words}
    if isinstance(data, TorchDataset):
        return torch_dataset(data, task, **given)
    x, y = data
    return array_dataset(x, y, task, **given)


def _dataset_of(loader: DataLoader[Any]) -> Any:
    """What a loader reads from; one that makes of it more than batches in some order is refused."""
    if isinstance(loader.dataset, IterableDataset):
        return loader.dataset  # refused as such
    if loader.collate_fn not in (default_collate, default_convert):
        mend = "do its work in the Dataset, whose items are read one by one, or give arrays (x, y)"
        raise DropkitError("data", "must be a DataLoader without a collate_fn", loader.collate_fn, mend)
    sampler = loader.sampler
    plain = type(loader.batch_sampler) in (BatchSampler, type(None))
    if not plain or not (type(sampler) is SequentialSampler or _is_shuffling(sampler, loader.dataset)):
        rule = "must be a DataLoader without a sampler: a study draws its rows itself"
        mend = "give torch.utils.data.Subset(data, indices) for some rows, class_weight for unequal classes"
        raise DropkitError("data", rule, type(sampler if plain else loader.batch_sampler).__name__, mend)
    return loader.dataset


def _is_shuffling(sampler: Any, data: Any) -> bool:
    """Whether it gives every row once."""
    return type(sampler) is RandomSampler and not sampler.replacement and sampler.num_samples == len(data)


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2


def _frame_and_target(x: pd.DataFrame, y: Any, columns: Columns, task: str) -> Dataset:
    if np.ndim(y) != 1 or len(x) != len(y):
        rule = "must be (x, y) of as many rows, y one-dimensional"
        raise DropkitError("data", rule, (x.shape, np.shape(y)), MEND_Y)
    name = str(getattr(y, "name", None) or "target")
    if name in map(str, x.columns):
        raise DropkitError(
            "data", "must not hold the target among the inputs", name, "drop the column from x"
        )
    values = y if isinstance(y, pd.Series) else pd.Series(plain_array("data y", y))
    frame = x.reset_index(drop=True).assign(**{name: values.reset_index(drop=True)})
    return frame_dataset(frame, "table", replace(columns, target=columns.target or name), task)
