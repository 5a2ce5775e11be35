"""What layers share that learn something for each unit of an activation: how units fit an input."""

from __future__ import annotations

from typing import Any, Literal

import torch

from dropkit.core.check import OneOf, Whole, check_each, is_whole
from dropkit.torch.check import TensorError, check_tensor

__all__ = ["PER", "Per", "check_units", "draw_shape", "unit_sizes"]

Shape = tuple[int, ...]
Per = Literal["batch", "sample"]

PER = OneOf(("batch", "sample"))
"""One draw a unit for the whole batch, or one for each sample along the first axis."""

_SIZE = Whole(1, "give the number of units along each axis, e.g. 32 or (32, 1, 1)")


def unit_sizes(size: Any) -> Shape:
    """Return the shape of the units: a number counts those of the last axis.

    >>> unit_sizes(4), unit_sizes((4, 1, 1))
    ((4,), (4, 1, 1))
    """
    return check_each("size", (size,) if is_whole(size) else size, _SIZE)


def check_units(input: torch.Tensor, own: Shape, per: Per) -> None:
    """Refuse an input whose last axes the units do not fit, or that lacks the axis of samples."""
    check_tensor(input)
    rank = len(own) + (per == "sample")
    last = input.shape[input.dim() - len(own) :]
    if input.dim() < rank or any(size not in (1, n) for size, n in zip(own, last, strict=True)):
        rule = f"ends in axes that units of shape {tuple(own)} fit"
        raise TensorError("input", rule, tuple(input.shape), "give as many units as the input has")


def draw_shape(input: torch.Tensor, own: Shape, per: Per) -> Shape:
    """Return the shape of the draws of one pass, which broadcasts to the input.

    >>> draw_shape(torch.ones(5, 4, 3, 3), (4, 1, 1), "sample")
    (5, 4, 1, 1)
    """
    lead = tuple(input.shape[:1]) if per == "sample" else ()
    return (*lead, *(1,) * (input.dim() - len(lead) - len(own)), *own)
