"""Cutout for PyTorch."""

from __future__ import annotations

import torch

from dropkit.core.check import Whole
from dropkit.methods.cutout import cut
from dropkit.torch.draws import fold, words
from dropkit.torch.fill import Fill, ImageMask
from dropkit.torch.functional import Source

__all__ = ["Cutout"]

Tensor = torch.Tensor
_SIZE = Whole(1, "give the side of a square in pixels, e.g. 16")
_HOLES = Whole(1, "give the number of squares an image, e.g. 1")


class Cutout(ImageMask):
    """One square at a random place of each image is set to zero, for all channels alike.

    The centre lies anywhere in the image; what reaches over the border is clipped. Nothing is scaled, and
    evaluation returns its input. DeVries and Taylor 2017.

    Args:
        size: side of a square in pixels, at least 1. It may be larger than the image.
        holes: how many squares an image has.
        fill: what a square is filled with: 0, which is the mean of normalised images, another number, or one
            for each channel.

    Shape:
        (batch, channels, height, width), in and out.

    Raises:
        DropkitError: a number is out of range.

    >>> Cutout(1)(torch.ones(1, 1, 2, 2)).sum()
    tensor(3.)
    """

    def __init__(self, size: int = 16, holes: int = 1, fill: Fill = 0.0) -> None:
        super().__init__(fill)
        self.size, self.holes = _SIZE.check("size", size), _HOLES.check("holes", holes)

    def gone(self, input: Tensor, source: Source) -> Tensor:
        """Return which places are cut out: bool, (batch, height, width)."""
        batch, _, height, width = input.shape
        rows, columns = (
            words(input, (batch, self.holes), **fold(name, source)) for name in ("row", "column")
        )
        gone: Tensor = cut(rows, columns, height, width, self.size, torch)
        return gone

    def extra_repr(self) -> str:
        """Show the squares."""
        return f"size={self.size}, holes={self.holes}, fill={self.fill}"
