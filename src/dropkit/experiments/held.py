"""What a function or an object of the user's holds beside its text, written so that a hash can take it."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

__all__ = ["held", "shown", "written"]


def held(piece: Any) -> str:
    """The code of a function and the plain values in its defaults and closure, or in attributes of an object.

    >>> held(lambda x, power=2: x**power) == held(lambda x, power=3: x**power)
    False
    """
    if inspect.ismethod(piece):
        return held(piece.__self__) + held(piece.__func__)
    if inspect.isfunction(piece):
        cells = zip(piece.__code__.co_freevars, piece.__closure__ or (), strict=True)
        closure = {name: _content(cell) for name, cell in cells}
        code = piece.__code__  # two lambdas of one file have one name and one text
        said = (code.co_code, code.co_consts, code.co_names)
        return written((piece.__defaults__, piece.__kwdefaults__, closure, said))
    if isinstance(piece, type) or not hasattr(piece, "__dict__"):
        return ""
    # The weights of a module are drawn anew in every process; they stand below such names.
    hidden = "_" if isinstance(piece, torch.nn.Module) else "__"
    return written({name: value for name, value in vars(piece).items() if not name.startswith(hidden)})


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing was put there yet
        return None


def shown(value: Any) -> str:
    """The text of an object without its address, which is another in every process.

    >>> shown(object()), shown(torch.float64)
    ('<object object>', 'torch.float64')
    """
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def written(value: Any, other: Callable[[Any], str] = lambda value: type(value).__name__) -> str:
    """A plain value in full: numbers, texts, arrays, tensors, and lists and mappings of these.

    Args:
        value: to be written.
        other: what is written of anything else; its repr may hold an address.

    >>> written({"b": [1, 2.5], "a": (None, object())})
    '{a: [None, object], b: [1, 2.5]}'
    """
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, torch.Tensor):
        return written(value.detach().cpu().to_dense().double().numpy())
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(written(each, other) for each in value)}]"
    if isinstance(value, Mapping):
        each = sorted(f"{key}: {written(value[key], other)}" for key in value)
        return f"{{{', '.join(each)}}}"
    return other(value)
