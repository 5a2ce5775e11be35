"""dropkit: every published dropout as one small, proven thing on one idea: noise x groups x rate."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropkit.api import drop, mode
from dropkit.core.address import VERSION as ADDRESS_VERSION
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError, MissingPackage
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, KofN, Pattern
from dropkit.core.key import Key
from dropkit.core.rate import Learned, PerAxis, depth_rates
from dropkit.core.reference import mask
from dropkit.core.schedule import (
    constant_schedule,
    cosine_schedule,
    curriculum_schedule,
    early_schedule,
    late_schedule,
    linear_schedule,
    ramp_schedule,
    valley_schedule,
)

if TYPE_CHECKING:
    from dropkit import methods as methods
    from dropkit import migrate as migrate
    from dropkit import surgery as surgery
    from dropkit import testing as testing
    from dropkit import torch as torch
    from dropkit.experiments import study
    from dropkit.surgery import bake_scale, convert_scale

__version__ = "0.1.0"

__all__ = [
    "ADDRESS_VERSION",
    "Blocks",
    "Drop",
    "DropkitError",
    "Key",
    "KofN",
    "Learned",
    "MissingPackage",
    "Pattern",
    "PerAxis",
    "Window",
    "bake_scale",
    "constant_schedule",
    "convert_scale",
    "cosine_schedule",
    "curriculum_schedule",
    "depth_rates",
    "drop",
    "early_schedule",
    "late_schedule",
    "linear_schedule",
    "mask",
    "mode",
    "ramp_schedule",
    "study",
    "valley_schedule",
]


_FUNCTIONS = {"bake_scale": "surgery", "convert_scale": "surgery", "study": "experiments"}
_LATER = ("methods", "migrate", "surgery", "testing", "torch")


def __getattr__(name: str) -> Any:
    # What needs more than NumPy is loaded when it is first asked for.
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"dropkit.{_FUNCTIONS[name]}"), name)
    if name in _LATER:
        return importlib.import_module(f"dropkit.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, *_LATER]
