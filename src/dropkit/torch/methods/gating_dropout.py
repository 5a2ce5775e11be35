"""Gating dropout for torch: one decision a step whether tokens stay with the experts at hand."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.gating_dropout import staying
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.depth import skips
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

__all__ = ["GatingDropout"]

Tensor = torch.Tensor


class GatingDropout(Rated):
    """With probability p all tokens of a step ignore experts on other machines (Liu et al. 2022).

    The logits of experts elsewhere become minus infinity in such a step: the router chooses among those at
    hand and the exchange between machines can be left out. All machines must decide alike: seed their CPU
    generators alike, or give each step one key, `dropkit.Key(seed).fold("step", step)`. Ask `stays` first
    where the exchange depends on it, and pass its answer on.

    Args:
        p: the probability that the tokens of a step stay, in [0, 1], or a schedule.

    Shape:
        logits (..., experts) and local (experts,), or what broadcasts to the logits, give (..., experts).

    Raises:
        DropkitError: p lies outside [0, 1], or the tensors do not fit.

    >>> gate, local = GatingDropout(1.0), torch.tensor([True, False, True])
    >>> gate(torch.tensor([[1.0, 3.0, 2.0]]), local)
    tensor([[1., -inf, 2.]])
    """

    def __init__(self, p: float | Schedule = 0.3) -> None:
        super().__init__(p)

    def stays(self, **source: Unpack[Source]) -> bool:
        """Return whether the tokens of a call under the same key stay; never where nothing is drawn.

        Args:
            **source: `key` and `generator` as in every layer.
        """
        return self.drawing and self.can_draw and skips([self.p], **self.source(source))[0]

    def forward(
        self, logits: Tensor, local: Tensor, stay: bool | None = None, **source: Unpack[Source]
    ) -> Tensor:
        """Return the logits, without experts elsewhere where the tokens stay; else the very tensor.

        Args:
            logits: what the router says (..., experts), floating.
            local: bool, broadcasts to the logits: which experts are at hand. Each token needs one.
            stay: what `stays` answered; asked here where it is left out.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the tensors do not fit, or no expert is at hand.
        """
        check_tensor(logits, "logits")
        _check_local(local, logits)
        if not (self.stays(**source) if stay is None else check_kind("stay", stay, bool, "give a bool")):
            return logits
        if not torch.compiler.is_compiling() and not bool(local.any(-1).all()):
            raise DropkitError("local", "has an expert at hand", "none", "mark the experts of this machine")
        kept: Tensor = staying(logits, local, True, torch)
        return kept

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p}"


def _check_local(local: Tensor, logits: Tensor) -> None:
    mend = "give a bool tensor (experts,), true for those of this machine"
    check_kind("local", local, torch.Tensor, mend)
    if local.dtype != torch.bool:
        raise TensorError("local", "is true where an expert is at hand", local.dtype, mend)
    ends = zip(reversed(local.shape), reversed(logits.shape), strict=False)
    if not 0 < local.ndim <= logits.ndim or any(mine not in (1, theirs) for mine, theirs in ends):
        rule = f"broadcasts to logits of shape {tuple(logits.shape)}"
        raise TensorError("local", rule, tuple(local.shape), mend)
