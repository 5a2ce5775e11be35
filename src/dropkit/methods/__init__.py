"""The catalogue: one published method is one file of one name; none imports another or knows a framework."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from dropkit.core.check import DropkitError, suggest
from dropkit.core.method import Method

__all__ = ["catalogue", "get"]

_LISTED = "`dropkit methods` lists them"


@functools.cache
def catalogue() -> dict[str, Method]:
    """Return every method by name, read from the files of this folder.

    >>> "drop_block" in catalogue()
    True
    """
    found = (module.name for module in pkgutil.iter_modules(__path__))
    names = sorted(name for name in found if not name.endswith("_test"))
    return {name: importlib.import_module(f"{__name__}.{name}").METHOD for name in names}


def get(name: str) -> Method:
    """Return a method by its name or one of its aliases.

    Raises:
        DropkitError: no method is called so; the message says which was probably meant.

    >>> get("stochastic_depth").name
    'drop_path'
    """
    known = {alias: method for method in catalogue().values() for alias in (method.name, *method.aliases)}
    if name not in known:
        raise DropkitError("name", "is the name of a method", name, suggest(name, known, _LISTED))
    return known[name]
