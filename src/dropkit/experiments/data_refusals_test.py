"""Data that a study refuses before any work, with the argument, the rule, the value and the mend."""

import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset, TensorDataset

from dropkit.core.check import DropkitError, MissingPackage
from dropkit.experiments import arrays
from dropkit.experiments.columns import MAX_COLUMNS, Columns
from dropkit.experiments.sources import load_data
from dropkit.report.record import StudyResult

ROWS = 90
X, Y = np.random.default_rng(0).normal(size=(ROWS, 3)), np.arange(ROWS) % 3
WORDS, TEXTS = np.arange(3 * ROWS).reshape(ROWS, 3), ["some words"] * ROWS
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y, who=Y + 7 * (np.arange(ROWS) % 9))


class Stream(IterableDataset[Any]):
    """Without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(X, Y, strict=True))


class Items(TorchDataset[Any]):
    """Whatever a stranger returns from __getitem__."""

    def __init__(self, *items: Any) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]


class Endless(TorchDataset[Any]):
    """Without a length, and nobody says so."""

    def __getitem__(self, row: int) -> Any:
        return X[row], Y[row]


class Lazy(Endless):
    """Fails at its last item."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, row: int) -> Any:
        if row == ROWS - 1:
            raise self.error
        return X[row], Y[row]


OBJECTS: dict[str, tuple[Any, Columns, str]] = {
    "a number": (7, Columns(), r"data must be one of digits, .* a DataFrame or a torch Dataset, got 7"),
    "a file without its function": ("net.py", Columns(), "write FILE.py:make_data, a function without"),
    "a dict": ({"x": X, "y": Y}, Columns(), r"got \{'x'.*give \(x, y\), or a DataFrame and target="),
    "three arrays": ((X, Y, Y), Columns(), r"data must be one of"),
    "a misspelt name": ("breast-cancr", Columns(), r"did you mean 'breast-cancer'"),
    "a file of another kind": ("table.xlsx", Columns(), r"data must be one of .*FILE\.csv"),
    "films": ((np.zeros((ROWS, 1, 2, 2, 2)), Y), Columns(), r"\(rows, channels, height, width\)"),
    "one column": ((X[:, 0], Y), Columns(), r"\(rows, columns\)"),
    "words as floats": ((X, Y), Columns(words=True), "must hold whole numbers where it holds words"),
    "words below 0": ((-WORDS, Y), Columns(words=True), "numbers of words from 0 to 999,999, got -"),
    "words beyond all": ((WORDS * 10**6, Y), Columns(words=True), "numbers of words from 0 to 999,999"),
    "words of one axis": ((WORDS[:, 0], Y), Columns(words=True), "must be .*"),
    "words of three axes": ((WORDS[..., None], Y), Columns(words=True), r"\(rows, length\)"),
    "texts as words": ((TEXTS, Y), Columns(words=True), "must hold whole numbers where it holds words"),
    "words of a table": (FRAME, Columns("y", words=True), "words must be left out: it is for arrays"),
    "words of digits": ("digits", Columns(words=True), "words must be left out: digits has no arrays"),
    "a text of arrays": ((X, Y), Columns(text="a"), "text must be left out: an array has no named columns"),
    "an unknown text": (FRAME, Columns("y", text="z"), "text must be a column of the table, got 'z'"),
    "the target as text": (FRAME, Columns("y", text="y"), "text must not be the target, got 'y'"),
    "the group as text": (FRAME, Columns("y", group="who", text="who"), "must not be named by group too"),
    "text left out": (FRAME, Columns("y", ignore=["a"], text="a"), "text must not be named by ignore too"),
    "text of numbers": (FRAME, Columns("y", text="a"), "column 'a' must hold text, got dtype..float64"),
    "text of nothing": (FRAME.assign(a=np.nan), Columns("y", text="a"), "column 'a' must hold text"),
    "text of mixed types": (
        FRAME.assign(a=["word"] * 7 + [7] + ["word"] * (ROWS - 8)),
        Columns("y", text="a"),
        r"text or nothing in every row \(row 8\), got 'int'",
    ),
    "text without a word": (([" . "] * ROWS, Y), Columns(), "words that stand there more than once"),
    "huge inputs": ((X * 1e300, Y), Columns(), r"data x must stay within ±1e\+38"),
    "huge pixels": ((np.full((ROWS, 1, 2, 2), -1e39), Y), Columns(), r"data x must stay within ±1e\+38"),
    "a huge column": (FRAME.assign(a=1e300), Columns("y"), r"column 'a' must stay within ±1e\+38"),
    "a target in too large a unit": ((X, X[:, 0] * 1e-200), Columns(), "must vary by 1e-100 or more"),
    "a target of dates": (
        FRAME.assign(y=pd.date_range("2026-01-01", periods=ROWS)),
        Columns("y"),
        "every class.*; merge or remove rare classes, or write a quantity as numbers",
    ),
    "a target by number": (FRAME, Columns(5), "target must name a column of the table by text, got 5"),  # type: ignore[arg-type]  # as users do
    "masked inputs": ((np.ma.masked_greater(X, 1), Y), Columns(), "data x must have no masked entries"),
    "a masked target": ((X, np.ma.masked_equal(Y, 1)), Columns(), "data y must have no masked entries"),
    "a target with gaps": ((X, [None] * 20 + ["a", "b"] * 35), Columns(), "data y must be known for every"),
    "a sparse matrix": ((csr_matrix(X), Y), Columns(), r"data x must be dense.*give values.toarray\(\)"),
    "a sparse tensor": ((torch.eye(ROWS).to_sparse(), Y), Columns(), r"data x must be .*to_dense\(\)"),
    "a tensor without values": ((torch.empty(ROWS, 3, device="meta"), Y), Columns(), "must be an array"),
    "one-hot classes": ((X, np.eye(3)[Y]), Columns(), r"y one-dimensional.*y.argmax\(1\) for one-hot"),
    "a frame of targets": ((FRAME[["a"]], FRAME[["y", "who"]]), Columns(), "y one-dimensional"),
    "no target for a frame": ((FRAME[["a"]], None), Columns(), "y one-dimensional"),
    "a Dataset that fails": (Lazy(KeyError("late")), Columns(), "every item: KeyError: 'late', got 'Lazy'"),
    "a Dataset that exits": (Lazy(SystemExit(3)), Columns(), "every item: SystemExit: 3, got 'Lazy'"),
    "a Dataset of no length": (Endless(), Columns(), "give its length and every item: TypeError"),
    "a ragged list": (([[1, 2], [3]], [0, 1]), Columns(), r"data x must be an array, got 'list'"),
    "complex inputs": ((X + 1j, Y), Columns(), "data x must hold real numbers"),
    "dates as a target": ((X, Y.astype("datetime64[D]")), Columns(), "data y must hold real numbers"),
    "images of text": ((np.full((ROWS, 1, 2, 2), "a"), Y), Columns(), "data x must hold real numbers"),
    "too many columns": ((np.zeros((ROWS, MAX_COLUMNS + 1)), Y), Columns(), "at most 10,000 columns"),
    "a target for digits": ("digits", Columns("y"), "target must be left out: digits has no named columns"),
    "a group of digits": ("digits", Columns(group="who"), "group must be left out: digits has no"),
    "a column left out of arrays": ((X, Y), Columns(ignore=["a"]), "ignore must be left out: an array has"),
    "a group named in arrays": ((X, Y), Columns(group="who"), "group must hold one value a row for arrays"),
    "a group of other length": ((X, Y), Columns(group=Y[:-1]), "one value for each of 90 rows"),
    "no target": (FRAME, Columns(), "target must name the column to predict, got None; choose from a, b"),
    "an unknown target": (FRAME, Columns("z"), "target must be a column of the table, got 'z'"),
    "an unknown group": (FRAME, Columns("y", group="whom"), "group must be .*got 'whom'; did you mean 'who'"),
    "an unknown time": (FRAME, Columns("y", time="day"), "time must be a column of the table, got 'day'"),
    "an unknown column to leave out": (FRAME, Columns("y", ignore=["z"]), "ignore must be a column"),
    "the target left out": (FRAME, Columns("y", ignore=["y"]), "ignore must not be the target, got 'y'"),
    "the target as a group": (FRAME, Columns("y", group="y"), "group must not be the target, got 'y'"),
    "an array as a group of a table": (FRAME, Columns("y", group=7), "group must name a column of the table"),
    "all inputs left out": (FRAME, Columns("y", group="who", ignore=["a", "b", "c"]), "a column beside"),
    "a group with empty cells": (
        FRAME.assign(who=[None, *"ab" * 44, "c"]),
        Columns("y", group="who"),
        "group must be known for every row: 'who' has empty cells, got '1 empty cell'",
    ),
    "two columns of one name": (pd.concat([FRAME, FRAME[["a"]]], axis=1), Columns("y"), "names, got 'a'"),
    "a frame and a short target": ((FRAME, Y[:-1]), Columns(), "as many rows"),
    "a frame that holds its target": ((FRAME, FRAME["y"]), Columns(), "must not hold the target among"),
    "a stream": (Stream(), Columns(), "data must have a length, to be cut into parts, got 'Stream'"),
    "an empty Dataset": (Items(), Columns(), "data must hold items, got 'Items of length 0'"),
    "items without a target": (Items(X[0]), Columns(), r"must give pairs \(x, y\): item 0 of Items is none"),
    "items of two shapes": (Items((X[0], 1), (X[0, :2], 1)), Columns(), r"one shape.*got '\(2,\) in item 1'"),
    "items of two targets": (Items((X[0], Y[:2])), Columns(), r"one number or name an item \(item 0\)"),
    "a Dataset of one image a row": (
        TensorDataset(torch.zeros(ROWS, 1, 1, 4, 4), torch.zeros(ROWS)),
        Columns(),
        "channels, height, width",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OBJECTS)
def test_objects_are_refused(case: str) -> None:
    data, columns, message = OBJECTS[case]
    with pytest.raises(DropkitError, match=message) as caught:
        load_data(data, columns)
    assert caught.value.mend
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "a", "time": "b"}, "time cannot be given beside group"),
        ({"ignore": "a"}, "ignore must be a list of column names, got 'a'"),
        ({"text": "a", "keep": True}, "keep_columns cannot be given beside text"),
        ({"ignore": [1]}, "ignore must be a list of column names"),
    ],
)
def test_columns_that_contradict_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        Columns("y", **arguments)


class Trap:
    """Unpickling this would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return self.path.touch, ()


def npz(path: Path, **members: Any) -> None:
    np.savez(path, **members)


def with_objects(path: Path) -> None:
    np.savez(path, x=X, y=np.array([Trap(path.with_name("sprung"))] * ROWS, dtype=object))


def with_a_pickle_for_an_array(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", pickle.dumps(Trap(path.with_name("sprung"))))
        archive.writestr("y.npy", b"")


def cut_off(path: Path) -> None:
    npz(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:300])


def a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Trap(path.with_name("sprung"))))


def one_array(path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, X)
    path.write_bytes(buffer.getvalue())


NPZ: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, r"data must be a file that can be read \(No such file or directory\)"),
    "empty": (lambda path: path.touch(), "not a zip file"),
    "a .npy": (one_array, "not a zip file"),
    "a pickle": (a_pickle, "not a zip file"),
    "cut off": (cut_off, "not a zip file"),
    "without x": (lambda path: npz(path, inputs=X, y=Y), "data must be an array of .*'x'; it holds inputs"),
    "without y": (lambda path: npz(path, x=X, labels=Y), "data must be an array of .*'y'; it holds x, la"),
    "objects": (with_objects, "it holds Python objects, which are not unpickled.*numpy.savez"),
    "a pickle inside": (with_a_pickle_for_an_array, "must be an .npz file of plain arrays"),
    "rows that differ": (lambda path: npz(path, x=X, y=Y[:-1]), "as many rows"),
    "NaN": (lambda path: npz(path, x=np.where(X > 2, np.nan, X), y=Y), "data x must be finite"),
}  # fmt: skip


@pytest.mark.parametrize("case", NPZ)
def test_files_of_arrays_are_refused_and_never_unpickled(tmp_path: Path, case: str) -> None:
    write, message = NPZ[case]
    write(tmp_path / "a.npz")
    with pytest.raises(DropkitError, match=message) as caught:
        load_data(tmp_path / "a.npz")
    assert caught.value.mend
    assert not (tmp_path / "sprung").exists()


def test_a_named_array_that_is_not_there_is_refused_by_its_argument(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz", x=X, y=Y)
    named = {"target": Columns("no"), "group": Columns(group="no"), "time": Columns(time="no")}
    for argument, columns in named.items():
        with pytest.raises(DropkitError, match=rf"^{argument} must be an array of a\.npz, got 'no'"):
            load_data(tmp_path / "a.npz", columns)


def test_a_file_that_unpacks_to_far_too_much_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npz(tmp_path / "a.npz", x=X, y=Y)
    monkeypatch.setattr(arrays, "MAX_BYTES", 1000)
    with pytest.raises(DropkitError, match="must unpack to at most 1,000 bytes"):
        load_data(tmp_path / "a.npz")


FUNCTIONS: dict[str, tuple[str, str]] = {
    "no such file": ("", "data must name a file that exists, got .*check the path"),
    "an error inside": ("def make_data(): return 1 / 0", "must return data.*ZeroDivisionError"),
    "an argument": ("def make_data(n): return n", "called with nothing: TypeError"),
    "nothing": ("def make_data(): pass", "data must be made by the function, not named, got None"),
    "a name": ("def make_data(): return 'digits'", "not named, got 'digits'"),
    "a number": ("def make_data(): return 7", "must be one of .*got 7"),
    "another name": ("def make(): pass", r"data must name a function of data\.py, got 'make_data'"),
    "a constant": ("make_data = 7", "data make_data must be a function, got 7"),
    "a syntax error": ("def make_data(:", r"data data\.py must import: SyntaxError"),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_functions_are_refused(tmp_path: Path, case: str) -> None:
    text, message = FUNCTIONS[case]
    if text:
        (tmp_path / "data.py").write_text(text)
    with pytest.raises(DropkitError, match=message) as caught:
        load_data(f"{tmp_path}/data.py:make_data")
    assert caught.value.argument == "data"
    assert caught.value.mend


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x,y\n1,2\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(DropkitError, match="data must be a Parquet file"):
        load_data(tmp_path / "t.parquet", Columns("y"))


def test_a_parquet_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match=r"data must be a file that can be read .*check the path"):
        load_data(tmp_path / "t.parquet", Columns("y"))


def test_without_pyarrow_the_line_to_type_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"pip install 'dropkit\[parquet\]'"):
        load_data(tmp_path / "t.parquet", Columns("y"))


def test_a_million_columns_are_refused_before_the_table_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(pd, "read_csv")  # it would take more than a minute
    header = ",".join(f"c{i}" for i in range(1_000_000))
    (tmp_path / "wide.csv").write_text(f"{header}\n" + ("1," * 999_999 + "1\n") * 3)
    with pytest.raises(DropkitError, match="at most 10,000 columns, got 1000000; choose columns") as caught:
        load_data(tmp_path / "wide.csv", Columns("c0"))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"group": "who"}, "group must be left out: digits has no named columns"),
        ({"data": FRAME, "target": "y", "group": "y"}, "group must not be the target"),
        ({"data": FRAME, "target": "y", "time": "who"}, "time needs 7 blocks of 10 rows"),
        ({"data": FRAME.assign(g=Y), "target": "y", "group": "g"}, "group must name 7 groups or more"),
    ],
)
def test_a_study_refuses_before_it_trains(
    tiny: Callable[..., StudyResult], tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(DropkitError, match=message):
        tiny(**({"data": "digits"} | arguments))
    assert not any((tmp_path / "study").glob("runs*"))
