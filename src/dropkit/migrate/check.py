"""Find the dropouts of other frameworks in Python source, and say what they become."""

from __future__ import annotations

import ast
import io
import os
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dropkit.core.check import DropkitError
from dropkit.migrate.conventions import Convention, rate_from
from dropkit.migrate.names import Use, uses
from dropkit.migrate.rewrite import Source, argument_of, rewrite
from dropkit.migrate.table import CONVENTIONS

__all__ = ["LIMIT", "Found", "check_path", "check_source", "python_files"]

LIMIT = 1_000_000
"""The most bytes of a file that is checked: the parser takes up to 900 times as many."""

# Keywords that may carry the probability: **kwargs, and a whole message of Caffe's.
_HIDING = (None, "dropout_param")

# Only TensorFlow 1 has these: a file that uses them means its `tf.nn.dropout`.
_TF1 = tuple(
    f"tensorflow.{name}"
    for name in ("placeholder", "Session", "InteractiveSession", "get_variable", "variable_scope", "contrib.")
)


@dataclass(frozen=True)
class Found:
    """One foreign dropout: a call, or a class or function that is passed on.

    Args:
        path, line, column: where it stands, counted from 1.
        call: its full name.
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        argument: the argument that carries the probability.
        written: what is written there, "" for the default.
        rate: the probability that an entry is dropped, None where it is no literal.
        becomes: what does the same in dropkit, in the framework of the call where dropkit serves it, else in
            PyTorch.
        active: when the framework draws.
        trap: what goes wrong in translation.
        doubt: what has to be decided by hand, "" where nothing has.
    """

    path: str
    line: int
    column: int
    call: str
    convention: str
    argument: str
    written: str
    rate: float | None
    becomes: str
    active: str
    trap: str
    doubt: str


def check_source(text: str, path: str = "<source>") -> list[Found]:
    """Return the foreign dropouts in Python source, in its order. Nothing is imported or executed.

    Imports, also renamed ones, and assignments of one name to another are followed; what a variable holds at
    run time is not. A class that is passed on without a call is found too; what is called with it is not.

    Args:
        text: Python source of at most `LIMIT` bytes.
        path: what the findings call it.

    Raises:
        DropkitError: the text is no Python source, or too long or too deeply nested.

    >>> [found] = check_source("import tensorflow as tf; y = tf.nn.dropout(x, keep_prob=0.9)")
    >>> found.becomes, found.rate, found.column
    ('dropkit.drop(x, 0.1)', 0.1, 30)
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    size = len(text.encode("utf-8", "replace"))
    if size > LIMIT:
        raise DropkitError("source", f"has at most {LIMIT:,} bytes", f"{path}: {size:,}", "split the file")
    named = uses(_parse(text, path))
    old = any(name.startswith(_TF1) for use in named for name in use.names)
    return list(_findings(named, Source(text), path, old))


def check_path(path: str | os.PathLike[str]) -> list[Found]:
    """Return what `check_source` finds in a file, which is read in the encoding that it declares.

    Raises:
        DropkitError: there is no such regular file, it is not to be read, is no text, or as `check_source`.
    """
    place = Path(path)
    if not place.is_file():
        mend = "give a Python file, or a folder of them"
        raise DropkitError("path", "is a file", str(path), mend)
    try:
        with place.open("rb") as file:
            data = file.read(LIMIT + 1)
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding)
    except OSError as error:
        raise DropkitError("path", "is a file to be read", str(path), error.strerror or "try again") from None
    except (SyntaxError, UnicodeDecodeError, LookupError):
        mend = "save it as UTF-8, or declare its encoding in the first line"
        raise DropkitError("path", "is text in the encoding that it declares", str(path), mend) from None
    if len(data) > LIMIT:
        raise DropkitError("path", f"has at most {LIMIT:,} bytes", str(path), "split the file")
    return check_source(text, str(path))


def python_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the Python files of a folder and of those within it, sorted, or the path itself if it is none.

    Folders whose names begin with a dot are left out, and links to folders are not followed. A folder that
    cannot be read is in the list itself, for `check_path` to refuse.
    """
    place = Path(path)
    if not place.is_dir():
        return [place]
    found: list[Path] = []
    closed: list[OSError] = []
    for folder, folders, files in os.walk(place, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    return sorted([*found, *(Path(error.filename) for error in closed)])


def _parse(text: str, path: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # What it says of the style of strangers' strings is not asked for.
            warnings.simplefilter("ignore")
            return ast.parse(text, path)
    except SyntaxError as error:
        where = f"{path}:{error.lineno}: {error.msg}"
        raise DropkitError("source", "is Python 3", where, "mend it first; 2to3 turns Python 2") from None
    except (RecursionError, MemoryError):
        raise DropkitError("source", "is nested as Python allows", path, "take the nesting apart") from None
    except ValueError as error:
        raise DropkitError("source", "is Python 3", f"{path}: {error}", "mend it first") from None


def _findings(named: Iterable[Use], source: Source, path: str, old: bool) -> Iterator[Found]:
    for use in named:
        name = next((name for name in use.names if name in _CALLS), None)
        if name is None:
            continue
        for known, doubt in _readings(use, name, old):
            found = _found(use, name, known, doubt, source, path)
            # What drops only when told to is passed on, and called, for the most part without dropout.
            if not known.optional or (use.call is not None and found.rate != 0):
                yield found


def _found(use: Use, name: str, known: Convention, doubt: str, source: Source, path: str) -> Found:
    call = use.call or ast.Call(use.node, [], [])
    value = argument_of(call, known.argument, known.position)
    rate, wrong = _rate(call, known, value)
    if use.passed:
        doubt = _PASSED
        # More arguments may come with the call.
        rate, wrong = (None, "") if value is None else (rate, wrong)
    switch = argument_of(call, known.switch, known.switch_position)
    moved = known.scales.get(switch.value) if isinstance(switch, ast.Constant) else None  # type: ignore[arg-type]  # a value that is no key is no key
    if switch is not None and moved is None:
        doubt = doubt or f"where the factor goes depends on {known.switch}"
    scale = moved or known.scale
    written = "" if value is None else source.text(value)
    bare = f"dropkit.{known.calls[name]}"
    return Found(
        path=path,
        line=use.node.lineno,
        column=source.column(use.node),
        call=name,
        convention=known.name,
        argument=known.argument,
        written=written,
        rate=rate,
        becomes=bare
        if use.call is None
        else rewrite(call, known, name, _shown(known, rate, written), scale, source),
        active=known.active,
        trap=_FOLD if scale == "eval" else known.trap,
        doubt=wrong or doubt,
    )


def _readings(use: Use, name: str, old: bool) -> list[tuple[Convention, str]]:
    """Return the conventions of a call, each with its doubt: several where several of its arguments drop."""
    readings = _CALLS[name]
    if readings[0].optional:
        return [(known, "") for known in readings]
    given = {keyword.arg for keyword in use.call.keywords} if use.call else set()
    for known in readings:
        if known.argument in given:
            return [(known, "")]
    if name == "tensorflow.nn.dropout" and not old:
        return [(readings[1], "under TensorFlow 1 this is the share that is kept: name the argument")]
    return [(readings[0], "")]


def _rate(call: ast.Call, known: Convention, value: ast.expr | None) -> tuple[float | None, str]:
    """Return the rate where it is written out, and what is wrong with it."""
    if value is None:
        hidden = any(keyword.arg in _HIDING for keyword in call.keywords)
        if hidden or known.default is None or any(isinstance(each, ast.Starred) for each in call.args):
            return None, f"{known.argument} is not written here"
        return rate_from(known.name), ""
    number = value.value if isinstance(value, ast.Constant) else None
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None, ""
    try:
        return rate_from(known.name, float(number)), ""
    except (DropkitError, OverflowError):
        return None, f"{known.argument} is out of range"


def _shown(known: Convention, rate: float | None, written: str) -> str:
    """Return the rate as code."""
    if rate is not None:
        return repr(rate)
    if not written or written == "...":
        return "rate"
    if known.means == "drop":
        return written
    return f"1 - {written}" if written.replace(".", "").isidentifier() else f"1 - ({written})"


_FOLD = "evaluation carried the factor: keep scale, or fold the next weight (dropkit.migrate.fold_scale)"
_PASSED = "it is passed on, and called elsewhere: look there for its arguments"


def _by_call() -> dict[str, list[Convention]]:
    found: dict[str, list[Convention]] = {}
    for known in CONVENTIONS.values():
        for name in known.calls:
            found.setdefault(name, []).append(known)
    return found


_CALLS = _by_call()
