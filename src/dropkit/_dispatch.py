"""The one place that finds the framework of an object: from its type, without importing any."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from dropkit.core.check import DropkitError

__all__ = ["backend"]


def _is_array(module: Any, x: object) -> bool:
    return isinstance(x, module.ndarray)


def _is_tensor(module: Any, x: object) -> bool:
    return isinstance(x, module.Tensor | module.nn.Module)


_FRAMEWORKS: dict[str, tuple[Callable[[Any, object], bool], str]] = {
    "numpy": (_is_array, "dropkit.core.reference"),
    "torch": (_is_tensor, "dropkit.torch.backend"),
}


def backend(argument: str, x: object) -> Any:
    """Return our module for the framework that the object belongs to.

    >>> import numpy
    >>> backend("x", numpy.zeros(2)).__name__
    'dropkit.core.reference'
    """
    for name, (belongs, module) in _FRAMEWORKS.items():
        # A framework that nobody imported cannot have made the object.
        loaded = sys.modules.get(name)
        if loaded is not None and belongs(loaded, x):
            return importlib.import_module(module)
    mend = "convert it, e.g. numpy.asarray(x, dtype='float32')"
    raise DropkitError(argument, "is a NumPy array or belongs to PyTorch", type(x), mend)
