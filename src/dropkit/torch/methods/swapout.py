"""Swapout for PyTorch: it takes the place of the sum at the end of a residual block."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import RATE, DropkitError
from dropkit.core.drop import Drop
from dropkit.core.schedule import Schedule
from dropkit.methods.swapout import BRANCH, SKIP, swapout
from dropkit.torch import draws, functional
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["Swapout"]


class Swapout(Rated):
    """y = a x + b F(x), with a coin a unit for the skip and another for the branch (Singh et al. 2016).

    Evaluation takes the expected value. The paper's stochastic inference is the mean of passes under
    `dropkit.mode(model, "mc")`.

    Args:
        p: the probability that a unit loses its branch, in [0, 1], or a schedule.
        p_skip: the probability that a unit loses its skip, in [0, 1]; None for `p`.

    Shape:
        any; skip, branch and output have one shape.

    Raises:
        DropkitError: a rate lies outside [0, 1].

    >>> layer = Swapout(0.5).eval()
    >>> layer(torch.tensor([1.0]), torch.tensor([3.0]))
    tensor([2.])
    """

    def __init__(self, p: float | Schedule = 0.5, p_skip: float | None = None) -> None:
        Stochastic.__init__(self)  # the rate comes after that of the skip: both make the two descriptions
        self._own_skip = p_skip if p_skip is None else RATE.check("p_skip", p_skip)
        self.take_rate(p)

    def rate_moved(self) -> None:
        """Describe the draws at another rate: that of the skip too, where it has none of its own."""
        self._skip, self._branch = swapout(self.p, self.p if self._own_skip is None else self._own_skip)

    @property
    def p_skip(self) -> float:
        """The probability that a unit loses its skip."""
        rate: float = self._skip.rate
        return rate

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could differ from the sum."""
        return self.p > 0 or self.p_skip > 0

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation scales the two parts."""
        return self.can_draw

    def forward(self, input: torch.Tensor, branch: torch.Tensor, **source: Unpack[Source]) -> torch.Tensor:
        """Join the skip and the branch.

        Args:
            input: what the skip brings.
            branch: what the block makes of it, of the same shape.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        check_tensor(branch, "branch")
        if branch.shape != input.shape:
            rule = f"has the shape of input, {tuple(input.shape)}"
            raise DropkitError("branch", rule, tuple(branch.shape), "project the skip to that shape first")
        source = self.source(source)
        kept = self._part(input, self._skip, draws.fold(SKIP, source))
        return (kept + self._part(branch, self._branch, draws.fold(BRANCH, source))).to(input.dtype)

    def _part(self, x: torch.Tensor, description: Drop, source: Source) -> torch.Tensor:
        return functional.drop(widen(x), description, mode="train" if self.drawing else "eval", **source)

    def extra_repr(self) -> str:
        """Show the rates."""
        return f"p={self.p}, p_skip={self.p_skip}"
