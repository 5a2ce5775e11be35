"""Shake-Shake for PyTorch: two branches, one share ahead and another one back."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import DropkitError
from dropkit.methods.shake_shake import BACKWARD, FORWARD, PATTERNS, PER, shares, weights
from dropkit.torch.check import check_tensor
from dropkit.torch.draws import fold, unit
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.two_ways import two_ways

__all__ = ["ShakeShake"]

Tensor = torch.Tensor


class ShakeShake(Stochastic):
    """Mixes two branches by a random share: alpha in the forward pass, beta in the backward pass.

    Training: alpha first + (1 - alpha) second, with the gradients beta and 1 - beta; alpha and beta are
    uniform in (0, 1). Evaluation: the mean of both. Gastaldi 2017.

    Args:
        forward_mix: `"shake"` draws alpha, `"even"` takes 1/2.
        backward_mix: `"shake"` draws beta, `"even"` takes 1/2, `"keep"` takes alpha.
        per: one share a `"sample"`, or one for the whole `"batch"`.

    Raises:
        DropkitError: an argument is another word.

    >>> mix = ShakeShake().eval()
    >>> mix(torch.tensor([[1.0]]), torch.tensor([[3.0]]))
    tensor([[2.]])
    """

    def __init__(
        self,
        forward_mix: Literal["shake", "even"] = "shake",
        backward_mix: Literal["shake", "even", "keep"] = "shake",
        per: Literal["sample", "batch"] = "sample",
    ) -> None:
        super().__init__()
        self.forward_mix = FORWARD.check("forward_mix", forward_mix)
        self.backward_mix = BACKWARD.check("backward_mix", backward_mix)
        self.per = PER.check("per", per)

    @property
    def can_draw(self) -> bool:
        """Whether a share is drawn at all."""
        return "shake" in (self.forward_mix, self.backward_mix)

    @property
    def acts_in_eval(self) -> bool:
        """Evaluation takes the mean of the branches."""
        return True

    def forward(self, first: Tensor, second: Tensor, **source: Unpack[Source]) -> Tensor:
        """Mix what two branches give.

        Args:
            first: (batch, ...), of a real floating type.
            second: of the same shape and type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the branches have different shapes or types.
        """
        _check_pair(first, second)
        if not self.drawing:
            return ((widen(first) + widen(second)) / 2).to(first.dtype)
        ahead, back = self._shares(first, self.source(source))
        parts = zip((first, second), weights(ahead), weights(back), strict=True)
        mixed = [two_ways(widen(branch), alpha, beta) for branch, alpha, beta in parts]
        return (mixed[0] + mixed[1]).to(first.dtype)

    def _shares(self, first: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        def draw(name: str) -> Tensor:
            return unit(first, None, PATTERNS[self.per], **fold(name, source))

        ahead, back = shares(self.forward_mix, self.backward_mix, draw)
        return _tensor(ahead, first), _tensor(back, first)

    def extra_repr(self) -> str:
        """Show how both passes are mixed."""
        return f"forward_mix={self.forward_mix!r}, backward_mix={self.backward_mix!r}, per={self.per!r}"


def _tensor(share: Any, like: Tensor) -> Tensor:
    return torch.as_tensor(share, dtype=torch.float64, device=like.device)


def _check_pair(first: Tensor, second: Tensor) -> None:
    check_tensor(first, "first")
    check_tensor(second, "second")
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        rule = f"is like first, {tuple(first.shape)} of {first.dtype}"
        given = f"{tuple(second.shape)} of {second.dtype}"
        raise DropkitError("second", rule, given, "give the output of the other branch")
