"""A stranger's CSV or Parquet file as a table; what is none is refused in words a terminal can show."""

from __future__ import annotations

import codecs
import io
import re
from pathlib import Path

import pandas as pd

from dropkit.core.check import DropkitError, try_import
from dropkit.experiments.columns import check_width
from dropkit.report.messages import Note
from dropkit.report.words import printable

__all__ = ["check_file", "read_parquet", "read_table"]

_MARKS = {  # the longer first: that of UTF-32 begins like that of UTF-16
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_MEND_TEXT = "save it as CSV in UTF-8"


def read_table(path: Path) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Read a CSV file with a header line, as UTF-8, else as Latin-1 with a note.

    Column names come back with their control characters escaped.

    Raises:
        DropkitError: the file cannot be read, is not text, or its lines make no table.
    """
    text, notes = _decode(path)
    check_width(text.partition("\n")[0].count(",") + 1)  # before pandas spends minutes on a million columns
    try:
        frame = pd.read_csv(io.StringIO(text), low_memory=False)
    except pd.errors.EmptyDataError:
        raise DropkitError("data", "must hold a header line and rows", str(path), "fill the file") from None
    except pd.errors.ParserError as error:
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise _no_table(path, printable(reason, 200)) from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes what is too much for row names
        raise _no_table(path, "every line has more cells than the header")
    frame = frame.rename(columns=lambda name: printable(str(name)))
    if not frame.columns.is_unique:
        raise _no_table(path, "two columns have one name")
    return frame, notes


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a Parquet file; row names that pandas stored in it become columns if they have a name.

    Raises:
        MissingPackage: pyarrow is not installed.
        DropkitError: the file cannot be read or is not Parquet.
    """
    check_file(path)
    try_import("pyarrow", extra="parquet")
    from pyarrow import parquet

    try:
        check_width(len(parquet.read_schema(path).names))
        frame = pd.read_parquet(path, engine="pyarrow")
    except (OSError, ValueError) as error:
        if isinstance(error, DropkitError):
            raise
        rule = f"must be a Parquet file ({printable(str(error).partition(chr(10))[0], 200)})"
        raise DropkitError("data", rule, str(path), "write it again, or save the table as CSV") from error
    named = any(name is not None for name in frame.index.names)
    return frame.reset_index(drop=not named)


def _no_table(path: Path, reason: str) -> DropkitError:
    rule = f"must be a table with the same number of cells in every line ({reason})"
    return DropkitError("data", rule, str(path), "mend the header or the line, or quote cells with commas")


def _decode(path: Path) -> tuple[str, tuple[Note, ...]]:
    content = _content(path)
    for mark, encoding in _MARKS.items():
        if content.startswith(mark):
            raise _no_text(path, f"it is {encoding}")
    if b"\0" in content:
        raise _no_text(path, "it holds NUL bytes: a binary file, or UTF-16")
    try:
        return content.decode("utf-8"), ()  # pandas passes over a mark of UTF-8
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if _CONTROL.search(text):
        raise _no_text(path, "it is neither UTF-8 nor free of control characters: a binary file")
    return text, (Note("note.latin", {"file": path.name}),)


def _content(path: Path) -> bytes:
    check_file(path)
    return path.read_bytes()


def check_file(path: Path) -> None:
    """Refuse what is no file that can be read."""
    try:
        path.open("rb").close()
    except OSError as error:
        rule = f"must be a file that can be read ({error.strerror})"
        raise DropkitError("data", rule, str(path), "check the path") from error


def _no_text(path: Path, reason: str) -> DropkitError:
    return DropkitError("data", f"must be text ({reason})", str(path), _MEND_TEXT)
