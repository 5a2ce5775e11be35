"""How a study is repeated: by a command, or by a call where it was given objects that no command names."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dropkit.report.plan import Arm

__all__ = ["Repeat", "repeat_of"]

_FUNCTIONS = ("model", "metric")
_ROWS = ("data", "group", "time")  # lists with an entry a row, which stand in study.json
_OBJECT = re.compile(r"<(.*)>")


@dataclass(frozen=True)
class Repeat:
    """A line to type, or Python code; `own` are the names in it that stand for objects of the user's."""

    code: str
    own: tuple[str, ...] = ()


def repeat_of(settings: Mapping[str, Any]) -> Repeat:
    """What repeats a study.

    Args:
        settings: its options; objects stand as the name of their type or function in angle brackets.

    >>> repeat_of({"data": "my file.csv", "train_rows": 100, "fresh": True}).code
    "dropkit study --data 'my file.csv' --train-rows 100 --fresh"
    >>> print(repeat_of({"data": ["<ndarray>", "<ndarray>"], "model": "<make_model>", "seed": 1}).code)
    import dropkit
    <BLANKLINE>
    dropkit.study((x, y), model=make_model, seed=1)
    """
    own = {name: found for name, value in settings.items() if (found := _own(name, value))}
    if not own and "arms" not in settings:
        return Repeat(_command(settings))
    given = {name: _written(name, value, own.get(name)) for name, value in settings.items()}
    call = ", ".join(value if name == "data" else f"{name}={value}" for name, value in given.items())
    imports = ["import dropkit", *(["from dropkit.report.plan import Arm"] if "arms" in settings else [])]
    code = "\n".join((*imports, "", f"dropkit.study({call})"))
    return Repeat(code, tuple(each for names in own.values() for each in names))


def _own(name: str, value: Any) -> tuple[str, ...]:
    """The names of an option's objects."""
    if isinstance(value, list):
        objects = name in _ROWS or any(_own(name, each) for each in value)
        return () if not objects else ("x", "y") if name == "data" and len(value) == 2 else (name,)
    found = _OBJECT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        return ()
    function = found[1].rpartition(".")[2]
    return (function if name in _FUNCTIONS and function.isidentifier() else name,)


def _written(name: str, value: Any, own: tuple[str, ...] | None) -> str:
    if own:
        return own[0] if len(own) == 1 else f"({', '.join(own)})"
    if name == "arms":
        return f"({''.join(_arm(each) + ', ' for each in value).rstrip()})"
    return repr(value)


def _arm(record: Mapping[str, Any]) -> str:
    default = vars(Arm("", ""))
    told = {each.name: record[each.name] for each in fields(Arm) if record[each.name] != default[each.name]}
    return f"Arm({', '.join(f'{name}={_plain(value)!r}' for name, value in told.items() if value != [])})"


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _command(settings: Mapping[str, Any]) -> str:
    parts = ["dropkit", "study"]
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            parts.append(option)
        elif isinstance(value, list | tuple):
            parts += [part for each in value for part in (option, str(each))]
        elif value is not None and value is not False:
            parts += [option, str(value)]
    return shlex.join(parts)
