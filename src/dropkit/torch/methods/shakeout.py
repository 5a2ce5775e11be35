"""Shakeout for PyTorch: a linear layer or a convolution whose inputs are enhanced or reversed."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import Interval
from dropkit.core.schedule import Schedule
from dropkit.methods.shakeout import factor, reversal
from dropkit.torch import draws
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.weighted import LinearLayer, check_linear, weighted

__all__ = ["Shakeout"]

Tensor = torch.Tensor

_STRENGTH = Interval(0, float("inf"), "give c, e.g. 0.01", open_high=True)
_SMOOTH = Interval(0, float("inf"), "give the slope of tanh, e.g. 1.0", open_high=True)


class Shakeout(Rated):
    """A linear layer or a convolution under shakeout: its units contribute -c sign(w), or more than w.

    Training: each input entry draws r = 0 with probability p, else 1 / (1 - p), and the layer sees the weight
    r w + c (r - 1) sign(w), whose mean is w (Kang et al. 2018). The gradient of sign(w) is taken for that of
    tanh(smooth w), as in the authors' code. Evaluation is the layer itself.

    Args:
        layer: a `torch.nn.Linear`, `Conv1d`, `Conv2d` or `Conv3d`; it keeps its name and its weights.
        p: the probability that a unit's contribution is reversed, in [0, 1], or a schedule.
        strength: c, at least 0, in units of the weights. With 0 this is dropout of the layer's input.
        smooth: the slope of the tanh, at least 0; with 0 the sign has no gradient.

    Shape:
        those of the layer.

    Raises:
        DropkitError: the layer is of another kind, or a number is out of its range.

    >>> Shakeout(torch.nn.Linear(4, 2), 0.3, strength=0.01)(torch.ones(8, 4)).shape
    torch.Size([8, 2])
    """

    def __init__(
        self, layer: LinearLayer, p: float | Schedule = 0.5, strength: float = 0.01, smooth: float = 1.0
    ) -> None:
        super().__init__()
        self.layer = check_linear(layer)
        self.take_rate(p)
        self.strength, self.smooth = _STRENGTH.check("strength", strength), _SMOOTH.check("smooth", smooth)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return what the layer makes of the input.

        Args:
            input: as the layer takes it.
            **source: `key` and `generator` as in every layer.
        """
        if not (self.drawing and self.can_draw):
            y: Tensor = self.layer(input)
            return y
        check_tensor(input)
        gone = draws.below(input, self.p, **self.source(source))
        r = factor((~gone).to(widen(input).dtype), self.p)
        y = self.layer(_scaled(input, r))
        if self.strength == 0:
            return y
        turned = _scaled(input, reversal(r, self.strength))
        return y + weighted(self.layer, turned, _sign(self.layer.weight, self.smooth))

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"p={self.p}, strength={self.strength}, smooth={self.smooth}"


def _scaled(input: Tensor, r: Tensor) -> Tensor:
    wide = widen(input)
    return torch.where(r == 0, 0.0, wide * r).to(input.dtype)


def _sign(weight: Tensor, smooth: float) -> Tensor:
    """Return sign(w), with the gradient of tanh(smooth w)."""
    curve = torch.tanh(smooth * weight)
    return weight.detach().sign() + (curve - curve.detach())
