"""The versions of what decides numbers, read without loading any of it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import metadata

__all__ = ["of_runs", "versions"]

_PACKAGES = ("dropkit", "numpy", "scipy", "pandas", "scikit-learn", "optuna", "torch")
_SEARCHING = frozenset(("optuna",))  # what it proposes is in an arm


def versions() -> dict[str, str]:
    """Of Python and of every package that decides splits, settings, scores or p values, if it is installed.

    >>> import numpy
    >>> versions()["numpy"] == numpy.__version__
    True
    """
    known = {name: _version(name) for name in _PACKAGES}
    return {"python": platform.python_version()} | {name: each for name, each in known.items() if each}


def of_runs(versions: Mapping[str, str]) -> dict[str, str]:
    """Those among the versions of a plan on which the scores of a single run depend.

    >>> of_runs({"torch": "2.13.0", "optuna": "5.0.0"})
    {'torch': '2.13.0'}
    """
    return {name: version for name, version in versions.items() if name not in _SEARCHING}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "source" if package == "dropkit" else ""
