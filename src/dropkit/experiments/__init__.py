"""`dropkit study`: which dropout, where and how much, answered by paired runs on real data."""

from typing import TYPE_CHECKING, Any

from dropkit.core.check import try_import

if TYPE_CHECKING:
    from dropkit.experiments.conduct import study

__all__ = ["study"]

_NEEDED = (
    "torch",
    "scipy",
    "sklearn",
    "pandas",
    "joblib",
    "optuna",
    "matplotlib",
    "jinja2",
    "rich",
    "safetensors",
)


def __getattr__(name: str) -> Any:
    # A process that trains imports single files of this package: it does not draw, search or judge.
    if name != "study":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for package in _NEEDED:  # the line to type must come before a bare import error
        try_import(package, extra="study")
    from dropkit.experiments.conduct import study

    return study
