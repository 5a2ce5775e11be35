"""What methods have in common that paint over parts of images: what they paint, and when."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Unpack

import torch

from dropkit.core.check import DropkitError, Interval, check_each
from dropkit.torch.check import TensorError, check_axes
from dropkit.torch.functional import Source
from dropkit.torch.stochastic import Stochastic

__all__ = ["Fill", "ImageMask", "check_fill", "filled"]

Tensor = torch.Tensor
Fill = float | Sequence[float]
"""One number, or one for each channel."""

_NUMBER = Interval(
    -math.inf, math.inf, "give a finite number, e.g. the mean of the data", open_low=True, open_high=True
)


def check_fill(fill: Any) -> tuple[float, ...]:
    """Return what is painted as a tuple: one number, or one for each channel.

    >>> check_fill(0), check_fill([0.5, 0.4, 0.4])
    ((0.0,), (0.5, 0.4, 0.4))
    """
    numbers = check_each("fill", fill if isinstance(fill, tuple | list) else (fill,), _NUMBER)
    if not numbers:
        raise DropkitError("fill", "has at least one number", fill, "write e.g. 0.0")
    return numbers


def filled(input: Tensor, gone: Tensor, fill: tuple[float, ...]) -> Tensor:
    """Return images with `fill` where they are gone: `gone` is bool, (batch, height, width)."""
    channels = input.shape[1]
    if len(fill) not in (1, channels):
        rule = f"has one number, or one for each of the {channels} channels"
        raise TensorError("fill", rule, fill, "give the mean of each channel")
    values = torch.tensor(fill, dtype=input.dtype, device=input.device)[:, None, None]
    return torch.where(gone[:, None], values, input)


class ImageMask(Stochastic, ABC):
    """A module that paints over parts of images (batch, channels, height, width), for all channels alike.

    Nothing is scaled, and evaluation returns its input.

    Args:
        fill: what is painted: one number, or one for each channel.
    """

    def __init__(self, fill: Fill) -> None:
        super().__init__()
        self.fill = check_fill(fill)

    @abstractmethod
    def gone(self, input: Tensor, source: Source) -> Tensor:
        """Return which places are painted over: bool, (batch, height, width)."""

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Paint over parts of images in training, and return the images themselves otherwise.

        Args:
            input: (batch, channels, height, width), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or another number of channels than `fill`.
        """
        check_axes(input, "b c h w")
        if not (self.drawing and self.can_draw) or input.numel() == 0:
            return input
        source = self.source(source)
        return self.paint(input, self.gone(input, source), source)

    def paint(self, input: Tensor, gone: Tensor, source: Source) -> Tensor:
        """Return the images with something else where they are gone."""
        return filled(input, gone, self.fill)
