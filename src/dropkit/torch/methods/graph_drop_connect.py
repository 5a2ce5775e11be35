"""Graph DropConnect for torch."""

from __future__ import annotations

from dropkit.core.mode import Scale
from dropkit.methods.graph_drop_connect import graph_drop_connect
from dropkit.torch.layer import Layer, Rate, rate_of

__all__ = ["GraphDropConnect"]


class GraphDropConnect(Layer):
    """One coin for each edge and block of channels of a message matrix (edges, channels).

    y = m kept / (1 - p), put between the gathering of messages and their sum (Hasanzadeh et al. 2020).

    Args:
        p: the probability that an edge is dropped for a block, in [0, 1], or a schedule.
        blocks: the number of equal blocks of channels; None for a coin for each channel.
        scale: where the factor 1 / (1 - p) goes.

    Raises:
        DropkitError: p lies outside [0, 1], `blocks` is no count, or does not divide the channels.

    >>> import torch
    >>> GraphDropConnect(0.5, blocks=2)(torch.ones(2, 4), key=1)
    tensor([[2., 2., 0., 0.],
            [2., 2., 2., 2.]])
    """

    def __init__(self, p: Rate = 0.5, blocks: int | None = None, *, scale: Scale = "train") -> None:
        super().__init__(graph_drop_connect(rate_of(p), blocks, scale))
