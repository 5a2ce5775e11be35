"""Consistent dropout as a layer: ordinary in training, one mask for all points in a Monte Carlo pass."""

from __future__ import annotations

from dataclasses import replace

import torch

from dropkit.core import drop as core
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import check_kind
from dropkit.methods.consistent_dropout import consistent_dropout
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.run import law_of

__all__ = ["ConsistentDropout"]

_OWN = {True: "b c ... -> b c", False: "..."}


class ConsistentDropout(Layer):
    """Dropout that gives a whole pool of points one mask in a Monte Carlo pass (Kirsch et al. 2019).

    Training draws for each point. In mode `"mc"` one mask serves all points of a call, and under
    `dropkit.torch.under_key(model, key)` all calls: the batches of a pool, the last and smaller one too. Give
    each pass a key of its own.

    Args:
        p: the probability that an entry is dropped, in [0, 1], or a schedule.
        channels: drop whole channels of (N, C, ...).

    Raises:
        DropkitError: p lies outside [0, 1], or channels is not a bool.

    >>> import dropkit
    >>> layer = ConsistentDropout(0.5)
    >>> with dropkit.mode(layer, "mc"):
    ...     layer(torch.ones(2, 4), key=1)
    tensor([[2., 0., 2., 2.],
            [2., 0., 2., 2.]])
    """

    def __init__(self, p: Rate = 0.5, *, channels: bool = False) -> None:
        self.channels = check_kind("channels", channels, bool, "write True or False")
        super().__init__(core.Drop(rate_of(p), _OWN[channels]))

    @property
    def pooled(self) -> bool:
        """Whether the points of the next call share their mask."""
        return self.forced_mode == "mc"

    def describe(self, description: core.Drop) -> None:
        """Take another description with the rate of this layer."""
        super().describe(description)
        self._pool = replace(self._plain, groups=consistent_dropout(0.0, self.channels).groups)
        self._pool_law = law_of(self._pool)

    def _law_for(self, input: torch.Tensor, window: Window = WHOLE) -> str:
        if not self.pooled:
            return super()._law_for(input, window)
        return self._pool_law if window is WHOLE else law_of(self._pool, window)
