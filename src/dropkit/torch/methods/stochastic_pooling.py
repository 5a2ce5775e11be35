"""Stochastic pooling for PyTorch."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.methods.stochastic_pooling import chosen, shares
from dropkit.torch.draws import unit
from dropkit.torch.functional import Source
from dropkit.torch.pool import Pooling
from dropkit.torch.run import widen

__all__ = ["StochasticPooling"]

Tensor = torch.Tensor


class StochasticPooling(Pooling):
    """Each region passes one unit, drawn by its share of the activation; evaluation takes the weighted mean.

    p_i = a_i / sum_k a_k; training: y = a_l with l ~ p; evaluation: y = sum_i p_i a_i (Zeiler and Fergus
    2013). Units below 0 have no share, and a region without a unit above 0 gives 0: it is the pooling of
    relu(x). The gradient goes to the unit that passed, in evaluation to all.

    Args:
        kernel_size: side of a region in entries, or (height, width).
        stride: how far apart regions begin; None for `kernel_size`.

    Shape:
        (N, C, H, W) to (N, C, rows, columns), as `torch.nn.MaxPool2d` without padding.

    Raises:
        DropkitError: a size is no whole number of at least 1.

    >>> StochasticPooling(2).eval()(torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]]))
    tensor([[[[2.5000]]]])
    """

    def __init__(
        self, kernel_size: int | tuple[int, int] = 2, stride: int | tuple[int, int] | None = None
    ) -> None:
        super().__init__(kernel_size, stride)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Pool.

        Args:
            input: (N, C, H, W), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or is smaller than one region.
        """
        self.check(input)
        regions = self.regions(input)
        if not self.drawing:
            wide = widen(regions)
            mean: Tensor = (wide.clip(0) * shares(wide)).sum(-1)
            return mean.to(input.dtype)
        u = unit(input, regions.shape[:-1], **self.source(source))
        return _passed(regions, chosen(widen(regions.detach()), u))


def _passed(regions: Tensor, index: Tensor) -> Tensor:
    """Return the unit of that number, and 0 where none has it; what is not finite shows."""
    units = regions.shape[-1]
    passed = regions.gather(-1, index.clip(max=units - 1)[..., None])[..., 0]
    total = regions.detach().sum(-1)
    return torch.where(total.isfinite(), torch.where(index < units, passed, 0.0), total)
