"""Standout for PyTorch: a linear layer or convolution, its activation, and a gate of the same weights."""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import Interval, check_kind
from dropkit.methods import standout as law
from dropkit.torch import draws
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["Standout"]

Tensor = torch.Tensor
_FINITE = Interval(-math.inf, math.inf, "give a number, e.g. 1.0", open_low=True, open_high=True)
_ANY = Interval(-math.inf, math.inf, "give a number, e.g. 0.0")


class Standout(Stochastic):
    """A layer with its activation, whose units are dropped the less the stronger they are excited.

    s = layer(x), keep = sigmoid(alpha s + beta). Training gives g(s) where a unit is kept and 0 elsewhere,
    without a factor; evaluation gives keep g(s) (Ba and Frey 2013). The mask has no gradient, as in every
    dropout; in evaluation mode the gate has one.

    Args:
        layer: what computes the score s, e.g. an `nn.Linear`; it keeps its weights.
        activation: g.
        alpha: how much the score matters, finite.
        beta: the higher, the less is dropped; plus infinity drops nothing, minus infinity everything.

    Shapes: as those of the layer.

    Raises:
        DropkitError: an argument is of another kind or out of range.

    >>> gate = Standout(nn.Identity(), nn.ReLU(), alpha=1.0, beta=0.0).eval()
    >>> gate(torch.tensor([-1.0, 0.0, 100.0]))
    tensor([  0.,   0., 100.])
    """

    def __init__(
        self, layer: nn.Module, activation: nn.Module, alpha: float = 1.0, beta: float = 0.0
    ) -> None:
        super().__init__()
        self.layer = check_kind("layer", layer, nn.Module, "give the layer whose output is gated")
        self.activation = check_kind("activation", activation, nn.Module, "give e.g. nn.ReLU()")
        self.alpha, self.beta = _FINITE.check("alpha", alpha), _ANY.check("beta", beta)
        self.stand_out()

    @property
    def acts_in_eval(self) -> bool:
        """Yes: evaluation multiplies by the probability of keeping."""
        return True

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Apply the layer and its activation, and drop.

        Args:
            input: what the layer takes.
            **source: `key` and `generator` as in every layer.
        """
        score: Tensor = self.layer(input)
        return self.gate(self.activation(score), score, **source)

    def gate(self, output: Tensor, score: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop entries of an output by scores of the same shape, or multiply by the probability of keeping.

        Args:
            output: g(s), of a real floating type.
            score: s.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(output, "output")
        rate = law.rate(torch, score.to(torch.float64), self.alpha, self.beta)
        if self.drawing:
            gone = draws.below(output, rate, **self.source(source))
            return torch.where(gone, 0.0, output)
        wide = widen(output)
        kept: Tensor = wide * (1 - rate).to(wide.dtype)
        return torch.where(rate == 1, 0.0, kept).to(output.dtype)

    def extra_repr(self) -> str:
        """Show the gate."""
        return f"alpha={self.alpha}, beta={self.beta}"
