"""DropHead for torch: a layer for the outputs or the weights of attention heads."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from dropkit.core.check import Whole
from dropkit.core.drop import Drop
from dropkit.core.rate import threshold
from dropkit.methods.drop_head import factors
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.run import widen

__all__ = ["DropHead"]

Tensor = torch.Tensor
_HEADS = Whole(1, "give the number of heads, e.g. 8")


class DropHead(Layer):
    """Whole heads are dropped and the others multiplied by heads / heads that stay (Zhou et al. 2020).

    One coin a head and sample. At least one head of a sample stays. Evaluation is the identity.

    Args:
        p: the probability of a head's coin, in [0, 1], or a schedule; the paper's is
            `dropkit.valley_schedule`, moved by a `Stepper`.
        heads: how many heads lie side by side in the last axis of (batch, ..., heads * features); left out,
            the input is (batch, heads, ...).

    Raises:
        DropkitError: p lies outside [0, 1], or heads is no count.

    >>> DropHead(0.5)(torch.ones(1, 4, 1), key=1).flatten()
    tensor([1.3333, 0.0000, 1.3333, 1.3333])
    """

    def __init__(self, p: Rate = 0.1, heads: int | None = None) -> None:
        # The factor is the sample's own: a scale of "none" keeps others from baking 1 / (1 - p) in.
        super().__init__(Drop(rate_of(p), "b h ... -> b h", scale="none"))
        self.heads = heads if heads is None else _HEADS.check("heads", heads)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:  # type: ignore[override]  # no window
        """Drop heads in training, return the very `input` otherwise.

        Args:
            input: (batch, heads, ...), or (batch, ..., heads * features) where `heads` was given.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input is no floating tensor of such a shape, or its heads do not divide it.
        """
        if not (self.drawing and self.can_draw):
            return input
        check_tensor(input)
        shape = self._groups(input)
        if input.numel() == 0:
            return input
        word = self.threshold if self.scheduled else threshold(self.p, torch)
        u = draws.words(input, shape, "b h -> b h", **self.source(source))
        return _times(input, factors(u, word, torch), self.heads)

    def _groups(self, input: Tensor) -> tuple[int, int]:
        if input.dim() < 2:
            raise TensorError("input", "has a batch and heads", tuple(input.shape), "add the axes")
        if self.heads is None:
            return input.shape[0], input.shape[1]
        if input.shape[-1] % self.heads:
            rule = f"has a last axis that {self.heads} heads divide"
            raise TensorError("input", rule, tuple(input.shape), "give the number of heads of this layer")
        return input.shape[0], self.heads

    def extra_repr(self) -> str:
        """Show the rate and the heads; neither scale nor memory is a choice here."""
        rate = self.description.rate if self.scheduled else self.p
        parts = [f"p={rate}"] + ([f"heads={self.heads}"] if self.heads else [])
        return ", ".join(parts + ([f"mode={self.forced_mode!r}"] if self.forced_mode else []))


def _times(x: Tensor, factor: Tensor, heads: int | None) -> Tensor:
    apart = x if heads is None else x.reshape(*x.shape[:-1], heads, -1)
    ones: list[Any] = [1] * (apart.dim() - 2)
    shape = (*factor.shape, *ones) if heads is None else (factor.shape[0], *ones[1:], factor.shape[1], 1)
    m = factor.reshape(shape).to(torch.promote_types(x.dtype, torch.float32))
    return torch.where(m == 0, 0.0, widen(apart) * m).to(x.dtype).reshape(x.shape)
