"""Hide-and-Seek for PyTorch."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.check import DropkitError, Whole, check_each
from dropkit.core.rate import threshold
from dropkit.core.schedule import Schedule
from dropkit.methods.hide_and_seek import grid, hidden, spread
from dropkit.torch.draws import fold, words
from dropkit.torch.fill import Fill, ImageMask
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

__all__ = ["HideAndSeek"]

Tensor = torch.Tensor
_SIZE = Whole(0, "give sides of cells in pixels, e.g. (16, 32); 0 hides nothing")


class HideAndSeek(Rated, ImageMask):
    """The cells of a grid over each image are hidden with probability p, for all channels alike.

    Each image draws one of `sizes` for its cells. Nothing is scaled, and evaluation returns its input. Singh
    and Lee 2017.

    Args:
        p: the probability that a cell is hidden, in [0, 1], or a schedule.
        sizes: side of a cell in pixels, or several to draw from, equally likely; 0 hides nothing. Cells at
            the border may be cut. The authors' code takes (0, 16, 32, 44, 56) for images of 224 pixels.
        fill: what a hidden pixel becomes: the mean of the data, as one number or one for each channel. It is
            0 for normalised images.

    Shape:
        (batch, channels, height, width), in and out.

    Raises:
        DropkitError: p lies outside [0, 1], or `sizes` is empty or no whole number.

    >>> HideAndSeek(1.0, 16, fill=0.5)(torch.ones(1, 1, 1, 2))
    tensor([[[[0.5000, 0.5000]]]])
    """

    def __init__(
        self, p: float | Schedule = 0.5, sizes: int | tuple[int, ...] = 16, fill: Fill = 0.0
    ) -> None:
        ImageMask.__init__(self, fill)
        self.take_rate(p)
        self.sizes = _checked(sizes)

    @property
    def can_draw(self) -> bool:
        """Whether a cell can be hidden."""
        return self.p > 0 and any(self.sizes)

    def gone(self, input: Tensor, source: Source) -> Tensor:
        """Return which places are hidden: bool, (batch, height, width)."""
        layers = [self._layer(size, input, source) if size else None for size in self.sizes]
        if len(layers) == 1 and layers[0] is not None:
            return layers[0]
        which = words(input, (input.shape[0], 1, 1), **fold("size", source))
        gone: Tensor = hidden(layers, which)
        return gone

    def _layer(self, size: int, input: Tensor, source: Source) -> Tensor:
        batch, _, height, width = input.shape
        shape = (batch, *grid(height, width, size))
        cells = words(input, shape, **fold("cell", source, size)) < threshold(self.p, torch)
        layer: Tensor = spread(cells, height, width, size, torch)
        return layer

    def extra_repr(self) -> str:
        """Show the rate and the cells."""
        return f"p={self.p}, sizes={self.sizes}, fill={self.fill}"


def _checked(sizes: Any) -> tuple[int, ...]:
    checked = check_each("sizes", sizes if isinstance(sizes, tuple | list) else (sizes,), _SIZE)
    if not checked:
        raise DropkitError("sizes", "has at least one side", sizes, "write e.g. 16")
    return checked
