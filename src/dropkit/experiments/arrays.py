"""Arrays as a data set: NumPy and torch in memory, .npz files, and torch's own Dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from dropkit.core.check import DropkitError
from dropkit.experiments.columns import Columns, group_codes, in_short, short, time_ranks, time_values
from dropkit.experiments.dataset import Dataset, ImageInputs, Inputs
from dropkit.experiments.reading import check_file
from dropkit.experiments.table import table_inputs
from dropkit.experiments.target import check_inputs, decide_target, known
from dropkit.experiments.user_file import reason
from dropkit.experiments.words import numbered_words, texts
from dropkit.report.messages import Note
from dropkit.report.words import printable

__all__ = ["MEND_Y", "array_dataset", "npz_dataset", "plain_array", "torch_dataset"]

MAX_BYTES = 2**33
MEND_Y = "give one number or name a row: y.argmax(1) for one-hot classes, y.ravel() for a single column"
_MEND_NPZ = "save plain arrays: numpy.savez('FILE.npz', x=x, y=y)"
_PAIR = "must be (x, y) of as many rows, y one-dimensional"


def array_dataset(
    x: Any,
    y: Any,
    task: str = "auto",
    *,
    group: Any = None,
    time: Any = None,
    name: str = "arrays",
    words: bool = False,
) -> Dataset:
    """A data set from arrays.

    Images (rows, channels, height, width) and sequences (rows, steps, features) are taken as they are, rows
    of numbers (rows, columns) standardised like a table. One text a row becomes numbers of words.

    Args:
        x: inputs: finite real numbers, or texts.
        y: one target a row.
        task: `auto`, `classification` or `regression`.
        group: one value a row; rows with the same one stay together in one part.
        time: one number or ISO date a row; parts are cut forward in time.
        name: what the data set is called.
        words: whether x holds numbers of words (rows, length), with 0 for padding and 1 for an unknown word.

    Raises:
        DropkitError: shapes do not fit, values are no finite numbers, or the target cannot be learned.

    >>> array_dataset(np.zeros((80, 1, 4, 4)), np.arange(80) % 2).task
    'classification'
    """
    x, y = plain_array("data x", x), plain_array("data y", y)
    text = x.ndim == 1 and x.dtype.kind not in "biuf"
    if (x.ndim not in (2, 3, 4) and not text) or y.ndim != 1 or len(x) != len(y):
        mend = "give x as (rows, columns), (rows, steps, features), (rows, channels, height, width) or texts"
        raise DropkitError("data", _PAIR, (x.shape, y.shape), MEND_Y if y.ndim == 2 else mend)
    check_inputs("data x", x)
    y = known("data y", y)
    target = decide_target("data y", y, task)
    inputs, notes = texts("data x", pd.Series(x)) if text and not words else (_inputs(x, words), ())
    return Dataset(
        name,
        target.task,
        inputs,
        target.y,
        target.classes,
        notes=(target.note, *notes),
        groups=None if group is None else group_codes("group", _series("group", group, len(y))),
        times=None if time is None else time_ranks(time_values("time", _series("time", time, len(y)))),
    )


def plain_array(argument: str, values: Any) -> npt.NDArray[Any]:
    """Values as an array of real numbers or texts; what NumPy would misread without a word is refused.

    >>> plain_array("x", torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    if np.ma.is_masked(values):
        mend = "fill or remove what is masked, or give a DataFrame, whose cells may be empty"
        raise DropkitError(argument, "must have no masked entries", type(values).__name__, mend)
    if hasattr(values, "toarray"):  # of SciPy, which NumPy would take for one object
        raise DropkitError(argument, "must be dense", type(values).__name__, "give values.toarray()")
    try:
        # An array of texts would give each the room of the longest.
        array = np.asarray(_of_tensor(values), dtype=object if _is_text(values) else None)
    except (ValueError, TypeError, RuntimeError) as error:  # a ragged list, a sparse tensor
        mend = "give rows of equal length; of a tensor values.to_dense()"
        raise DropkitError(argument, "must be an array", type(values).__name__, mend) from error
    if array.dtype.kind in "cmMV":
        raise DropkitError(argument, "must hold real numbers", array.dtype, "turn it into real numbers")
    return array


def _of_tensor(values: Any) -> Any:
    """A tensor as an array, from any device and of any floating type; all else as it is."""
    if not isinstance(values, torch.Tensor):
        return values
    known_to_numpy = not values.is_floating_point() or values.dtype.itemsize > 2
    return (values if known_to_numpy or values.dtype is torch.float16 else values.float()).numpy(force=True)


def _is_text(values: Any) -> bool:
    return isinstance(values[0] if isinstance(values, list | tuple) and values else values, str)


def _series(argument: str, values: Any, rows: int) -> pd.Series:
    if isinstance(values, str) or not isinstance(
        values, Sequence | np.ndarray | pd.Series | pd.Index | torch.Tensor
    ):
        raise DropkitError(
            argument, "must hold one value a row for arrays", values, "give a list or an array"
        )
    if len(values) != rows or np.ndim(values) != 1:
        raise DropkitError(
            argument, f"must hold one value for each of {rows} rows", np.shape(values), "give as many"
        )
    return pd.Series(np.asarray(values) if not isinstance(values, pd.Series) else values.to_numpy())


def _inputs(x: npt.NDArray[Any], words: bool) -> Inputs:
    if words:
        return numbered_words(x)
    if x.ndim == 2:
        return table_inputs(x)
    if x.dtype.kind not in "biuf":
        raise DropkitError("data x", "must hold real numbers", x.dtype, "give numbers")
    return ImageInputs(x, scale=1.0)


def npz_dataset(path: Path, columns: Columns, task: str = "auto") -> Dataset:
    """A data set from the arrays `x` and `y` of an .npz file, which is never unpickled.

    Args:
        path: of the file.
        columns: other names: `target` for y, `group` and `time` for arrays with one value a row.
        task: `auto`, `classification` or `regression`.

    Raises:
        DropkitError: the file is no .npz, an array is missing, or it would have to be unpickled.
    """
    check_file(path)
    columns.refuse(path.name, but=("target", "group", "time", "words"))
    wanted = {"x": "x", "y": columns.target or "y", "group": columns.group, "time": columns.time}
    arrays = _read_npz(path, {part: name for part, name in wanted.items() if name is not None})
    data = array_dataset(task=task, name=path.name, words=columns.words, **arrays)
    names = [short(name) for name in wanted.values() if name is not None]
    return replace(data, notes=(Note("note.arrays", {"names": names, "file": path.name}), *data.notes))


def _read_npz(path: Path, wanted: dict[str, str]) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            _refuse_huge(path, sum(member.file_size for member in archive.infolist()))
        with np.load(path, allow_pickle=False) as file:
            return {part: _member(path, file, part, name) for part, name in wanted.items()}
    except DropkitError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        rule = f"must be an .npz file of plain arrays ({_why(error)})"
        raise DropkitError("data", rule, str(path), _MEND_NPZ) from error


def _why(error: Exception) -> str:
    if "allow_pickle" in str(error):
        return "it holds Python objects, which are not unpickled"
    return printable(str(error).partition("\n")[0], 200)


def _member(path: Path, file: Any, part: str, name: str) -> npt.NDArray[Any]:
    if name not in file.files:
        argument, rule = ("target" if part == "y" else part), f"must be an array of {path.name}"
        argument = "data" if part == "x" or name == "y" else argument
        raise DropkitError(argument, rule, name, f"it holds {in_short(file.files) or 'none'}; {_MEND_NPZ}")
    array = file[name]
    if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of a member that is none
        raise ValueError(f"{name} is no array")
    return array


def _refuse_huge(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        rule = f"must unpack to at most {MAX_BYTES:,} bytes"
        raise DropkitError("data", rule, f"{path.name}: {size:,}", "give fewer rows or smaller numbers")


def torch_dataset(
    data: TorchDataset[Any], task: str = "auto", *, group: Any = None, time: Any = None, words: bool = False
) -> Dataset:
    """A data set from torch's: every item must be (x, y), all x of one shape.

    Args:
        data: with a length; it is read once, whole.
        task: `auto`, `classification` or `regression`.
        group: one value a row; rows with the same one stay together in one part.
        time: one number or ISO date a row; parts are cut forward in time.
        words: whether every x holds numbers of words.

    Raises:
        DropkitError: it has no length, or an item is not (x, y) of the first one's shape.

    >>> pairs = torch.utils.data.TensorDataset(torch.zeros(80, 3), torch.arange(80) % 2)
    >>> torch_dataset(pairs).inputs.shape
    (3,)
    """
    name = type(data).__name__
    if isinstance(data, IterableDataset):
        mend = "collect its items into arrays (x, y)"
        raise DropkitError("data", "must have a length, to be cut into parts", name, mend)
    items = _items(name, data)
    if not items:
        raise DropkitError("data", "must hold items", f"{name} of length 0", "add rows")
    shape = items[0][0].shape
    for row, (x, _) in enumerate(items):
        if x.shape != shape:
            rule = f"must have items of one shape, {shape} like the first"
            raise DropkitError("data", rule, f"{x.shape} in item {row}", "resize or pad them in the Dataset")
    x, y = (np.stack(part) for part in zip(*items, strict=True))
    return array_dataset(x, y, task, group=group, time=time, name=name, words=words)


def _items(name: str, data: Any) -> list[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    try:
        return [_item(name, row, data[row]) for row in range(len(data))]
    except DropkitError:
        raise
    except (Exception, SystemExit) as error:
        rule = f"must give its length and every item: {reason(error)}"
        raise DropkitError("data", rule, name, "read every item by hand once") from error


def _item(name: str, row: int, item: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    if not isinstance(item, tuple | list) or len(item) != 2:
        rule = f"must give pairs (x, y): item {row} of {name} is none"
        raise DropkitError("data", rule, type(item).__name__, "return (x, y) from __getitem__")
    x, y = (plain_array(f"data {part}", value) for part, value in zip("xy", item, strict=True))
    if y.ndim != 0:
        raise DropkitError(
            "data y", f"must be one number or name an item (item {row})", y.shape, "return one target"
        )
    return x, y
