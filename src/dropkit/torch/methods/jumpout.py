"""Jumpout for PyTorch: a layer that follows a ReLU and finds its rate by itself."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError, Interval
from dropkit.methods.jumpout import RATE, drawn_rate, factor, spread_rate
from dropkit.torch import draws
from dropkit.torch.autograd import multiplied
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["Jumpout"]

Tensor = torch.Tensor

_SIGMA = Interval(0, float("inf"), "give the scale of the half-normal, e.g. 0.1", open_high=True)
_LIMIT = Interval(0, 1, "give a rate below 1, e.g. 0.6", open_high=True)


class Jumpout(Stochastic):
    """y = x kept (1 - p')**-0.75, with a rate p' that each call draws and evens out (Wang et al. 2019).

    p = min(low + sigma |z|, high) with one standard normal z a call, and p' = p / (share of positive
    entries), at most `high`: in every layer the share p of all units is active and falls. Evaluation is the
    identity.

    Args:
        sigma: the scale of the half-normal from which the rate is drawn, at least 0.
        low: the smallest p, in [0, 1).
        high: the largest p and p', in [0, 1), at least `low`.

    Shape:
        any; the output has the shape of the input, which is the output of a ReLU.

    Raises:
        DropkitError: a number is out of its range.

    >>> Jumpout(sigma=0.0, low=0.25)(torch.ones(4), key=3)
    tensor([1.2408, 1.2408, 1.2408, 0.0000])
    """

    def __init__(self, sigma: float = 0.1, low: float = 0.0, high: float = 0.6) -> None:
        super().__init__()
        self.sigma = _SIGMA.check("sigma", sigma)
        self.low, self.high = _LIMIT.check("low", low), _LIMIT.check("high", high)
        if self.low > self.high:
            raise DropkitError("low", f"is at most high, {self.high}", low, "give the smaller rate first")

    @property
    def can_draw(self) -> bool:
        """Whether the rate can be above 0."""
        return self.high > 0 and (self.sigma > 0 or self.low > 0)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop entries of `input` in training.

        Args:
            input: the output of a ReLU, of a real floating type.
            **source: `key` and `generator` as in every layer.
        """
        if not (self.drawing and self.can_draw):
            return input
        check_tensor(input)
        if input.numel() == 0:
            return input
        source = self.source(source)
        rate = self._rate(input, draws.fold(RATE, source))
        kept = ~draws.below(input, rate, **source)
        m = factor(kept.to(torch.float64), rate).to(widen(input).dtype)
        return multiplied(input, lambda m: m, m)

    def _rate(self, input: Tensor, source: Source) -> Tensor:
        z = draws.normal(input, (1,), **source)
        active = (input.detach() > 0).to(torch.float64).mean()
        rate: Tensor = spread_rate(drawn_rate(z, self.sigma, self.low, self.high), active, self.high)
        return rate

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"sigma={self.sigma}, low={self.low}, high={self.high}"
