"""What methods that decide by themselves at one rate have in common."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dropkit.core.check import RATE
from dropkit.torch.stochastic import Stochastic

__all__ = ["Rated"]


class Rated(Stochastic):
    """A module that draws at one rate, a number that may be changed between calls: `layer.p = 0.2`.

    Args:
        p: the rate, in [0, 1].

    Raises:
        DropkitError: p lies outside [0, 1].

    >>> Rated(0.1)
    Rated(p=0.1)
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def p(self) -> float:
        """The rate."""
        return self._p

    @p.setter
    def p(self, p: Any) -> None:
        # A number in a tensor is taken too, as in every layer.
        self._p = RATE.check("p", p.item() if isinstance(p, Tensor) and p.ndim == 0 else p)

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return self.p > 0

    def extra_repr(self) -> str:
        """Show the rate and what forces the mode."""
        return f"p={self.p}" + (f", mode={self.forced_mode!r}" if self.forced_mode else "")
