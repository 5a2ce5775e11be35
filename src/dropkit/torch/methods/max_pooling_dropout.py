"""Max-pooling dropout for PyTorch."""

from __future__ import annotations

import math
from typing import Unpack

import torch
import torch.nn.functional as F

from dropkit.core.schedule import Schedule
from dropkit.methods.max_pooling_dropout import chances
from dropkit.torch.draws import below
from dropkit.torch.functional import Source
from dropkit.torch.pool import Pooling
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["MaxPoolingDropout"]

Tensor = torch.Tensor


class MaxPoolingDropout(Rated, Pooling):
    """Max-pooling of what dropout leaves of each region; evaluation weights the sorted units by their chance.

    Training: y = max of the kept units, 0 where none is kept. Evaluation, the exact mean of that:
    y = sum_i (1 - p) p**(n - i) a_(i) over the n sorted units of a region (Wu and Gu 2015, probabilistic
    weighted pooling). A unit falls for all regions that it lies in. Meant for inputs of at least 0, as
    behind a ReLU; units below 0 are compared as they are.

    Args:
        p: the probability that a unit is dropped, in [0, 1], or a schedule.
        kernel_size: side of a region in entries, or (height, width).
        stride: how far apart regions begin; None for `kernel_size`.

    Shape:
        (N, C, H, W) to (N, C, rows, columns), as `torch.nn.MaxPool2d` without padding.

    Raises:
        DropkitError: p lies outside [0, 1], or a size is no whole number of at least 1.

    >>> MaxPoolingDropout(0.5).eval()(torch.tensor([[[[4.0, 2.0], [0.0, 8.0]]]]))
    tensor([[[[5.2500]]]])
    """

    def __init__(
        self,
        p: float | Schedule = 0.5,
        kernel_size: int | tuple[int, int] = 2,
        stride: int | tuple[int, int] | None = None,
    ) -> None:
        Pooling.__init__(self, kernel_size, stride)
        self.take_rate(p)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Pool.

        Args:
            input: (N, C, H, W), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or is smaller than one region.
        """
        self.check(input)
        if not self.can_draw or input.numel() == 0:
            return self._max(input)
        if not self.drawing:
            return self._weighted(input)
        gone = below(input, self.p, **self.source(source))
        strongest = self._max(torch.where(gone, -math.inf, input))
        return torch.where(strongest == -math.inf, 0.0, strongest)

    def _max(self, input: Tensor) -> Tensor:
        return F.max_pool2d(input, self.kernel_size, self.stride)

    def _weighted(self, input: Tensor) -> Tensor:
        ordered = self.regions(widen(input)).sort(-1).values
        weights = ordered.new_tensor(chances(self.p, ordered.shape[-1]))
        return (ordered @ weights).to(input.dtype)

    def extra_repr(self) -> str:
        """Show the rate too."""
        return f"p={self.p}, {super().extra_repr()}"
