"""The catalogue: one published method is one file of one name; none imports another or knows a framework."""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterable

from dropkit.core.check import DropkitError, suggest
from dropkit.core.method import Method

__all__ = ["catalogue", "find", "get", "squeeze"]

_LISTED = "`dropkit methods` lists them"
_DOTTED = re.compile(r"(?:[A-Za-z_]\w*\.)+(?P<last>[A-Za-z_]\w*)")


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
    """Return a method by its name, an alias, its class, or a name that another library gives it.

    Capitals, spaces, dashes and the module before a name, as in `nn.Dropout2d`, do not matter.

    Raises:
        DropkitError: no method is called so, or several are; the message says which, and what the name means
            there.

    >>> get("stochastic_depth").name, get("Dropout2d").name, get("Drop Block").name
    ('drop_path', 'spatial_dropout', 'drop_block')
    """
    known = _known()
    methods = known.get(squeeze(name), ()) if isinstance(name, str) else ()
    if len(methods) > 1:
        mend = f"choose from {', '.join(_told(method, name) for method in methods)}"
        raise DropkitError("name", "means one method", name, mend)
    if not methods:
        names = [alias for method in catalogue().values() for alias in (method.name, *method.aliases)]
        raise DropkitError("name", "is the name of a method", name, suggest(name, names, _LISTED))
    return methods[0]


def find(text: str) -> list[Method]:
    """Return the methods in whose names, old names, title or summary a text stands, the nearest first.

    >>> [method.name for method in find("downscale_in_infer")]
    ['dropout']
    """
    called, told = squeeze(text), text.lower()
    exact = _known().get(called, ())
    named = [m for m in catalogue().values() if any(called in squeeze(name) for name in _names(m))]
    said = [m for m in catalogue().values() if told in f"{m.title} {m.summary}".lower()]
    found = {method.name: method for method in (*exact, *named, *said)}
    return list(found.values()) if called else []


def squeeze(name: str) -> str:
    """Return a name without capitals and signs, and without the module that it stands in.

    >>> squeeze("DropBlock2D") == squeeze("drop_block 2d")
    True
    >>> squeeze("torch.nn.Dropout2d")
    'dropout2d'
    """
    inside = _DOTTED.fullmatch(name.strip())
    return re.sub(r"[\W_]", "", (inside["last"] if inside else name).lower())


def _told(method: Method, name: str) -> str:
    """Return the method's name, and what the name in question means there."""
    meanings = [meaning for old, meaning in method.old_names.items() if squeeze(old) == squeeze(name)]
    return f"{method.name} ({meanings[0]})" if meanings else method.name


@functools.cache
def _known() -> dict[str, tuple[Method, ...]]:
    """Return which methods each name may mean: names of today go before classes, those before old names."""
    ranks: list[dict[str, list[Method]]] = [{}, {}, {}]
    for method in catalogue().values():
        for rank, names in zip(ranks, _ranked(method), strict=True):
            for name in dict.fromkeys(map(squeeze, names)):
                rank.setdefault(name, []).append(method)
    return {name: _oldest_first(found) for rank in reversed(ranks) for name, found in rank.items()}


def _oldest_first(methods: Iterable[Method]) -> tuple[Method, ...]:
    return tuple(sorted(methods, key=lambda method: (bool(method.variant_of), method.paper.year)))


def _ranked(method: Method) -> tuple[Iterable[str], ...]:
    # A class that several methods share, such as Dropout for its schedules, is none of theirs.
    own = () if method.variant_of else method.layers.values()
    return (method.name, *method.aliases), own, method.old_names


def _names(method: Method) -> Iterable[str]:
    return itertools.chain(*_ranked(method))
