"""Numbers of classes and of words: whole, and as many as there are."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.check import DropkitError
from dropkit.torch.autograd import eager
from dropkit.torch.check import TensorError

__all__ = ["IGNORED", "check_numbers"]

Tensor = torch.Tensor
IGNORED = -100
"""The label of a row that does not count, as in `torch.nn.functional.cross_entropy`."""
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def check_numbers(argument: str, values: Any, count: int, ignored: int | None = None) -> None:
    """Refuse what are no whole numbers from 0 to count - 1, or `ignored`.

    The range is looked at where the values are at hand: on the CPU, outside of graphs and transforms. A
    device would have to be waited for.

    >>> check_numbers("ids", torch.tensor([0, 4]), 4)
    Traceback (most recent call last):
    dropkit.torch.check.TensorError: ids are whole numbers from 0 to 3, got 4; give numbers below 4
    """
    rule = f"are whole numbers from 0 to {count - 1}"
    rule += "" if ignored is None else f", or {ignored} where a row does not count"
    if not isinstance(values, Tensor):
        raise DropkitError(argument, rule, type(values), "give a tensor")
    if values.dtype not in _WHOLE:
        raise TensorError(argument, rule, values.dtype, f"convert them, e.g. {argument}.long()")
    if not values.is_cpu or not eager(values):
        return
    wrong = (values < 0) | (values >= count)
    wrong = wrong if ignored is None else wrong & (values != ignored)
    if wrong.any():
        raise TensorError(argument, rule, int(values[wrong][0]), f"give numbers below {count}")
