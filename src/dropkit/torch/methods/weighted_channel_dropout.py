"""Weighted channel dropout for PyTorch."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import RATE
from dropkit.core.rate import threshold
from dropkit.core.schedule import Schedule
from dropkit.methods.weighted_channel_dropout import rescale, selected
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.draws import fold, unit, words
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.two_ways import two_ways

__all__ = ["WeightedChannelDropout"]

Tensor = torch.Tensor


class WeightedChannelDropout(Rated):
    """A share p of the channels of each sample falls, quiet ones rather than active ones.

    score_i is the mean of channel i, 0 where that is below 0. The channels of the largest r_i**(1 / score_i),
    r_i uniform, are kept and grow by the sum of all scores over that of the kept ones; then each of them
    falls with probability `extra_p` all the same. Evaluation returns its input. The factors are constants to
    the gradient. Hou and Wang 2019.

    Args:
        p: the share of the channels that the selection drops, in [0, 1], or a schedule; it is rounded to
            whole channels.
        extra_p: the probability that a selected channel is dropped as well, in [0, 1]: randomness for layers
            in which always the same few channels are active.

    Shape:
        (batch, channels, ...), in and out.

    Raises:
        DropkitError: a number lies outside [0, 1].

    >>> WeightedChannelDropout(0.5)(torch.tensor([[0.0, 3.0, 1.0, 0.0]]))
    tensor([[0., 3., 1., 0.]])
    """

    def __init__(self, p: float | Schedule = 0.2, extra_p: float = 0.1) -> None:
        super().__init__(p)
        self.extra_p = RATE.check("extra_p", extra_p)

    @property
    def can_draw(self) -> bool:
        """Whether a channel can fall."""
        return self.p > 0 or self.extra_p > 0

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop channels.

        Args:
            input: (batch, channels, ...), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has fewer than 2 axes.
        """
        check_tensor(input)
        if input.dim() < 2:
            rule = "has at least 2 axes: batch and channels"
            raise TensorError("input", rule, tuple(input.shape), "add an axis, e.g. by unsqueeze(0)")
        if not (self.drawing and self.can_draw) or input.numel() == 0:
            return input
        factor = self._factor(input.detach(), self.source(source))
        factor = factor.reshape(*factor.shape, *(1,) * (input.dim() - 2))
        return two_ways(input, factor, factor)

    def _factor(self, input: Tensor, source: Source) -> Tensor:
        """Return the factor of every channel, (batch, channels)."""
        scores = input.flatten(2).double().mean(-1) if input.dim() > 2 else input.double()
        scores, shape = scores.clip(0), scores.shape
        kept = selected(scores, unit(input, shape, **fold("selection", source)), self.p, torch)
        fallen = words(input, shape, **fold("coin", source)) < threshold(self.extra_p, torch)
        return torch.where(kept & ~fallen, rescale(scores, kept), 0.0)

    def extra_repr(self) -> str:
        """Show both rates."""
        return f"p={self.p}, extra_p={self.extra_p}"
