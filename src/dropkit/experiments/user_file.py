"""A function out of a user's own file: FILE.py:NAME."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from dropkit.core.check import DropkitError
from dropkit.report.words import printable

__all__ = ["is_spec", "load_function", "name_of", "reason", "split_spec"]


def is_spec(text: str) -> bool:
    """Whether a text is of the form FILE.py:NAME.

    >>> is_spec("net.py:make_model"), is_spec("net.py")
    (True, False)
    """
    file, colon, name = text.rpartition(":")
    return bool(colon and file.endswith(".py") and name)


def split_spec(spec: str) -> tuple[Path, str]:
    """The file and the name of a text that `is_spec`."""
    file, _, name = spec.rpartition(":")
    return Path(file), name


def load_function(argument: str, spec: str, mend: str) -> Callable[..., Any]:
    """Import a file and take the function out of it.

    Args:
        argument: that is refused if this fails.
        spec: of the form FILE.py:NAME.
        mend: what to write instead.

    Raises:
        DropkitError: the file is not there, does not import, or has no such function.
    """
    path, name = split_spec(spec)
    if not path.is_file():
        raise DropkitError(argument, "must name a file that exists", str(path), "check the path")
    function = vars(_import_file(argument, path, mend)).get(name)
    if function is None:
        raise DropkitError(argument, f"must name a function of {path.name}", name, mend)
    if not callable(function):
        raise DropkitError(argument, f"{name} must be a function", function, mend)
    return function  # type: ignore[no-any-return]  # whatever the file holds; what it returns is checked


def _import_file(argument: str, path: Path, mend: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise DropkitError(argument, "must be a Python file", str(path), mend)
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    if folder not in sys.path:  # its own imports come from beside it, as when Python runs it
        sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        rule = f"{path.name} must import: {reason(error)}"
        raise DropkitError(argument, rule, str(path), "mend its first error") from error
    return module


def name_of(function: Any, otherwise: str) -> str:
    """What a function is called, without the functions inside which it stands.

    >>> def outer():
    ...     def inner(): ...
    ...     return inner
    >>> name_of(outer(), "")
    'inner'
    """
    return str(getattr(function, "__qualname__", otherwise)).rpartition("<locals>.")[2]


def reason(error: BaseException) -> str:
    """The first line of an error from a stranger's code, in signs that a terminal can show.

    >>> reason(ValueError("no"))
    'ValueError: no'
    """
    return printable(f"{type(error).__name__}: {error}".partition("\n")[0], 200)
