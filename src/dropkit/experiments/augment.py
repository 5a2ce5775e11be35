"""Images moved at random, the one augmentation that asks nothing about what they show."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["shifted"]


def shifted(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Every image moved by whole pixels, each by draws of its own, with zeros where nothing was.

    Args:
        images: (rows, channels, height, width).
        share: of height and of width that an image moves at most, in (0, 1); one pixel at least.
        generator: of the draws, uniform over all moves.

    >>> image = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    >>> shifted(image, 0.5, torch.Generator().manual_seed(1)).squeeze()
    tensor([[2., 0.],
            [4., 0.]])
    """
    rows, channels, height, width = images.shape
    most = [max(round(share * size), 1) for size in (height, width)]
    padded = F.pad(images, (most[1], most[1], most[0], most[0]))
    down, right = (
        torch.randint(2 * far + 1, (rows, 1), generator=generator) + torch.arange(size)
        for far, size in zip(most, (height, width), strict=True)
    )
    row, channel = torch.arange(rows)[:, None, None, None], torch.arange(channels)[None, :, None, None]
    return padded[row, channel, down[:, None, :, None], right[:, None, None, :]]
