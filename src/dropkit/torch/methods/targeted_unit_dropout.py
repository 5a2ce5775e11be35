"""Targeted unit dropout for PyTorch: a layer whose weakest outputs are dropped."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import Interval
from dropkit.core.schedule import Schedule
from dropkit.methods.targeted_unit_dropout import targeted
from dropkit.torch import draws
from dropkit.torch.autograd import multiplied
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.weighted import LinearLayer, check_linear

__all__ = ["TargetedUnitDropout"]

Tensor = torch.Tensor

_SHARE = Interval(0, 1, "write the share of units that is to be pruned, e.g. 0.5")


class TargetedUnitDropout(Rated):
    """A linear layer or a convolution whose weakest outputs are dropped at random (Gomez et al. 2019).

    The floor(share n) units whose weights have the smallest Euclidean norm are targets; each falls with
    probability p, by one coin for the whole batch, with its bias. Nothing is scaled. Evaluation is the layer
    itself: prune `targets` where the network is to be small.

    Args:
        layer: a `torch.nn.Linear`, `Conv1d`, `Conv2d` or `Conv3d`; it keeps its name and its weights.
        p: the probability that a target is dropped, alpha of the paper, in [0, 1], or a schedule. It may be
            set anew.
        share: the share of units that are targets, gamma of the paper, in [0, 1]. It may be set anew.

    Shape:
        those of the layer.

    Raises:
        DropkitError: the layer is of another kind, or a number lies outside [0, 1].

    >>> TargetedUnitDropout(torch.nn.Linear(4, 2), 1.0, share=1.0)(torch.ones(1, 4))
    tensor([[0., 0.]], grad_fn=...)
    """

    def __init__(self, layer: LinearLayer, p: float | Schedule = 0.5, share: float = 0.5) -> None:
        super().__init__()
        self.layer = check_linear(layer)
        self.take_rate(p)
        self.share = share

    @property
    def share(self) -> float:
        """The share of units that are targets."""
        return self._share

    @share.setter
    def share(self, share: float) -> None:
        self._share = _SHARE.check("share", share)

    @property
    def targets(self) -> Tensor:
        """Which outputs are targets now: those that pruning would take. A bool tensor, one entry a unit."""
        weight = widen(self.layer.weight.detach())
        norms = weight.flatten(1).norm(dim=1)
        chosen: Tensor = targeted(norms, norms.sort().values, self.share)
        return chosen

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could differ from the layer."""
        return self.p > 0 and self.share > 0

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the outputs of the layer, but for the dropped units.

        Args:
            input: as the layer takes it.
            **source: `key` and `generator` as in every layer.
        """
        y: Tensor = self.layer(input)
        if not (self.drawing and self.can_draw):
            return y
        rates = self.p * self.targets.to(torch.float64)
        gone = draws.below(rates, rates, **self.source(source))
        if not isinstance(self.layer, nn.Linear):
            gone = gone.reshape(-1, *(1,) * (self.layer.weight.ndim - 2))
        m = (~gone).to(widen(y).dtype)
        return multiplied(y, lambda m: m, m)

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"p={self.p}, share={self.share}"
