"""`dropkit study`: which dropout, where and how much, answered by paired runs on real data."""

from dropkit.core.check import try_import

for _package in (
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
):
    try_import(_package, extra="study")

from dropkit.experiments.conduct import study  # noqa: E402  the line to type must come before a bare import error

__all__ = ["study"]
