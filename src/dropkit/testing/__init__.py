"""The contract of every dropout, public: prove your own method with the tests that ours must pass.

Needs SciPy (`pip install 'dropkit[study]'`). Any torch module can be examined as it is; one pattern says what
it is to do:

>>> from torch import nn
>>> from dropkit.testing import examine, module_subject
>>> examine(module_subject(nn.Dropout2d, "torch's own", "b c h w -> b c"), traits=["rate", "groups"]).passed
True

A method in any other framework becomes a `Subject`: examples/own_method.py writes one from scratch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dropkit.testing.contract import Finding, Report, examine
from dropkit.testing.declared import Declared, Shapes, shapes_for
from dropkit.testing.registry import FALSE_ALARM, share
from dropkit.testing.subject import Built, Subject, numpy_subject, of, subject_of

if TYPE_CHECKING:
    from dropkit.testing.torch import layer_subject, module_subject, torch_subject

__all__ = [
    "FALSE_ALARM",
    "Built",
    "Declared",
    "Finding",
    "Report",
    "Shapes",
    "Subject",
    "examine",
    "layer_subject",
    "module_subject",
    "numpy_subject",
    "of",
    "shapes_for",
    "share",
    "subject_of",
    "torch_subject",
]

_TORCH = ("layer_subject", "module_subject", "torch_subject")


def __getattr__(name: str) -> Any:
    # torch is loaded when one of its subjects is first asked for.
    if name in _TORCH:
        return getattr(importlib.import_module("dropkit.testing.torch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
