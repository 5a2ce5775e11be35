"""The options of a study as they are written down, so that it can be repeated and gone on with."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dropkit.core.check import DropkitError
from dropkit.experiments.store import FILE, Store
from dropkit.report.plan import Arm

__all__ = ["registered_settings", "settings_of"]

_HOW = frozenset(("workers", "out", "fresh", "resume", "dry_run", "quiet", "lang", "ray", "crew", "track"))
"""What does not decide what is found."""


def settings_of(study: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call that decide what is found, where they are not at their default.

    What cannot be written as text, such as arrays, stands as the name of its type in angle brackets.

    Args:
        study: the function.
        given: its arguments by name.

    >>> settings_of(lambda data, seed=0, out="": None, {"data": "digits", "seed": 0, "out": "there"})
    {'data': 'digits'}
    """
    defaults = {name: each.default for name, each in inspect.signature(study).parameters.items()}
    return {
        name: _plain(given[name])
        for name, default in defaults.items()
        if name not in _HOW and (name == "data" or not _is_same(given[name], default))
    }


def _is_same(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str | int | float | tuple) and bool(value == default))


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | None):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [asdict(each) if isinstance(each, Arm) else _plain(each) for each in value]
    if isinstance(value, functools.partial):
        return _plain(value.func)
    return f"<{getattr(value, '__qualname__', type(value).__name__)}>"


def registered_settings(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the study that was planned last in a folder.

    Args:
        folder: of the study.
        given: what was set beside `resume`, which must be nothing.

    Raises:
        DropkitError: there is no study, it was given objects that cannot be written down, or more was set.
    """
    beside = [name for name in given if name != "data"]
    if beside:
        rule = "takes the options of the study that it goes on with, and none beside"
        raise DropkitError("resume", rule, ", ".join(beside), "leave them out, or leave out resume")
    written = _last(folder)
    settings: dict[str, Any] = json.loads(written) if written else {}
    if not settings:
        raise DropkitError(
            "out", "must hold a study to go on with", str(folder), "leave out resume to begin one"
        )
    objects = [name for name, value in settings.items() if _is_object(value)]
    if objects:
        rule = "can go on only with what can be read from a name or a file"
        mend = "call dropkit.study with the same arguments: it goes on from what is finished"
        raise DropkitError("resume", rule, f"{objects[0]}={settings[objects[0]]}", mend)
    if "arms" in settings:
        settings["arms"] = tuple(Arm(**each | {"at": tuple(each["at"])}) for each in settings["arms"])
    return settings


def _is_object(value: Any) -> bool:
    if isinstance(value, list):
        return any(_is_object(each) for each in value)
    return isinstance(value, str) and value.startswith("<") and value.endswith(">")


def _last(folder: Path) -> str | None:
    if not (folder / FILE).exists():  # a store would be made there
        return None
    with Store(folder) as store:
        return store.last_options()
