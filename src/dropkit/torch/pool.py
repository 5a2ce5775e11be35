"""What pooling layers that draw have in common: their regions."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.check import DropkitError, Whole
from dropkit.torch.check import TensorError, check_axes
from dropkit.torch.stochastic import Stochastic

__all__ = ["Pooling"]

Tensor = torch.Tensor
_SIDE = Whole(1, "give a number of entries, e.g. 2")


class Pooling(Stochastic):
    """A layer that makes one entry of each region of a map (batch, channels, height, width).

    Args:
        kernel_size: side of a region in entries, or (height, width).
        stride: how far apart regions begin; None for `kernel_size`, so that they do not overlap.
    """

    def __init__(
        self, kernel_size: int | tuple[int, int], stride: int | tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        self.kernel_size = _pair("kernel_size", kernel_size)
        self.stride = self.kernel_size if stride is None else _pair("stride", stride)

    @property
    def acts_in_eval(self) -> bool:
        """Evaluation pools too."""
        return True

    def check(self, input: Tensor) -> None:
        """Refuse what has no region: other axes, or a map that is smaller than one."""
        check_axes(input, "b c h w")
        if any(size < side for size, side in zip(input.shape[2:], self.kernel_size, strict=True)):
            rule = f"has maps of at least one region, {self.kernel_size}"
            raise TensorError("input", rule, tuple(input.shape), "take a smaller kernel_size")

    def regions(self, input: Tensor) -> Tensor:
        """Return the entries of every region: (batch, channels, rows, columns, entries)."""
        (height, width), (down, right) = self.kernel_size, self.stride
        return input.unfold(2, height, down).unfold(3, width, right).flatten(-2)

    def extra_repr(self) -> str:
        """Show the regions."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}"


def _pair(argument: str, given: Any) -> tuple[int, int]:
    sides = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(sides) != 2:
        raise DropkitError(argument, "is one number, or (height, width)", given, "write e.g. 2")
    height, width = (_SIDE.check(argument, side) for side in sides)
    return height, width
