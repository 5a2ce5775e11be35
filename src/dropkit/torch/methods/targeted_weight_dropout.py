"""Targeted weight dropout for PyTorch: around any linear layer or convolution."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.check import RATE
from dropkit.core.schedule import Constant, Schedule
from dropkit.methods.targeted_weight_dropout import targeted_weight_dropout, targets
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.noisy import NoisyWeights

__all__ = ["TargetedWeightDropout"]

Tensor = torch.Tensor


class _Targeted(Layer):
    """Drops the targets of a weight. The share of them may have a schedule of its own, at the same step."""

    def __init__(self, p: Any, share: Any, prune_in_eval: bool) -> None:
        self.plan = share if isinstance(share, Schedule) else None
        self.share = RATE.check("share", share if self.plan is None else self.plan(0))
        self.prune_in_eval = prune_in_eval
        moving = self.plan is not None and not isinstance(p, Schedule)
        super().__init__(targeted_weight_dropout(Constant(p) if moving else p))

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the weight."""
        return self.prune_in_eval

    def move_to(self, step: int) -> None:
        """Bring both schedules to a step."""
        super().move_to(step)
        if self.plan is not None:
            self.share = self.plan(step)

    def forward(  # type: ignore[override]  # a weight is no part of a larger one
        self, input: Tensor, **source: Unpack[Source]
    ) -> Tensor:
        """Return the weight with some targets dropped, or all of them where evaluation prunes."""
        if not self.drawing and not self.prune_in_eval:
            return input
        found = targets(input.detach(), self.share, torch)
        thinned = super().forward(input, **source) if self.drawing else torch.zeros_like(input)
        return torch.where(found, thinned, input)


class TargetedWeightDropout(NoisyWeights):
    """A layer of whose weights the smallest are dropped at random, so that they can be pruned later.

    The `share` of the weights into each unit that is smallest in size are targets; each is dropped with
    probability p, and nothing is scaled (Gomez et al. 2019). Both may be schedules, which
    `dropkit.torch.Stepper` moves; the authors' are `dropkit.ramp_schedule(share, 20000)` and
    `dropkit.linear_schedule(0.0, p, 40000)`.

    Args:
        module: an `nn.Linear`, a convolution or any module whose weights have a unit a row.
        p: the probability that a target is dropped, in [0, 1], or a schedule: alpha of the paper.
        share: the share of the weights that are targets, in [0, 1], or a schedule: gamma of the paper.
        names: which weights.
        prune_in_eval: whether evaluation runs without any target, as the authors' code does.

    Shapes:
        those of the module.

    Raises:
        DropkitError: p or `share` lies outside [0, 1], or a name is unknown.

    >>> layer = TargetedWeightDropout(nn.Linear(10, 4), 0.5, share=0.75)
    >>> layer.prune_()
    28
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.5,
        share: Any = 0.5,
        names: Iterable[str] = ("weight",),
        *,
        prune_in_eval: bool = False,
    ) -> None:
        super().__init__(module, _Targeted(rate_of(p), share, prune_in_eval), names)

    @property
    def share(self) -> float:
        """The share of the weights that are targets, now."""
        return float(self.noise.share)

    @torch.no_grad()
    def prune_(self) -> int:
        """Set the targets of now to 0 for good, in place, and return how many they are."""
        count = 0
        for name in self.names:
            weight = self.module.get_parameter(name)
            found = targets(weight, self.share, torch)
            weight.masked_fill_(found, 0.0)
            count += int(found.sum())
        return count

    def extra_repr(self) -> str:
        """Show the share too."""
        return f"{super().extra_repr()}, share={self.share}"
