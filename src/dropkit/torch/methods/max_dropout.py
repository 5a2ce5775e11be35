"""MaxDropout for PyTorch: the largest activations of a batch are dropped."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import Interval, check_kind
from dropkit.methods.max_dropout import fallen
from dropkit.torch import draws
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["MaxDropout"]

Tensor = torch.Tensor

_BAND = Interval(0, 1, "write the share of the range of values that falls, e.g. 0.3")


class MaxDropout(Stochastic):
    """y = 0 where (x - min x) / (max x - min x) > 1 - band, else x (Goncalves do Santos et al. 2020).

    The range is that of the whole batch, and the kept entries are not scaled. Evaluation is the identity.

    Args:
        band: the share of the range of values whose upper part falls, in [0, 1]. It is no probability.
        vary: draw the band of each call uniformly between 0 and `band`; without it nothing is random.

    Shape:
        any; the output has the shape of the input.

    Raises:
        DropkitError: band lies outside [0, 1], or vary is no bool.

    >>> MaxDropout(0.5)(torch.tensor([0.0, 1.0, 3.0, 4.0]))
    tensor([0., 1., 0., 0.])
    """

    def __init__(self, band: float = 0.3, *, vary: bool = False) -> None:
        super().__init__()
        self.band = _BAND.check("band", band)
        self.vary = check_kind("vary", vary, bool, "write True or False")

    @property
    def can_draw(self) -> bool:
        """Whether a call in training could drop anything; it is random only where the band varies."""
        return self.band > 0

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop the largest entries.

        Args:
            input: a tensor of a real floating type.
            **source: `key` and `generator` as in every layer, where the band varies.
        """
        if not (self.drawing and self.can_draw):
            return input
        check_tensor(input)
        if input.numel() == 0:
            return input
        wide = widen(input.detach())
        gone = fallen(wide, wide.amin(), wide.amax(), self._now(wide, self.source(source)))
        return torch.where(gone, 0.0, input)

    def _now(self, like: Tensor, source: Source) -> Tensor | float:
        """Return the band of this call."""
        if not self.vary:
            return self.band
        return (self.band * draws.unit(like, (1,), **source)).to(like.dtype)

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"band={self.band}, vary={self.vary}"
