"""DropKey for torch: a layer for scores, or for the bias that fused attention adds to them."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.schedule import Schedule
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import laid
from dropkit.torch.spared import fitting, spared
from dropkit.torch.subsets import check_prefix

__all__ = ["DropKey"]

Tensor = torch.Tensor


class DropKey(Rated):
    """Each query loses random keys: their scores become -inf before the softmax (Li et al. 2023).

    weights = softmax(scores + d), d = -inf with probability p for each entry, else 0. A query never loses its
    last visible key. In evaluation the scores pass as they are. With fused attention, give the layer the
    additive mask: `F.scaled_dot_product_attention(q, k, v, attn_mask=layer(bias))` is the same law.

    Args:
        p: the probability that a query loses a key, in [0, 1], or a schedule. Over depth:
            `dropkit.methods.drop_key.decreasing_rates`.
        prefix: how many leading keys no query loses, e.g. 1 for a class token. What is protected does not
            move the mask of the others.

    Raises:
        DropkitError: p lies outside [0, 1], or the prefix is no count.

    >>> scores = torch.zeros(1, 1, 2, 4)
    >>> torch.softmax(DropKey(1.0)(scores, key=1), dim=-1).sum(-1)
    tensor([[[1., 1.]]])
    """

    def __init__(self, p: float | Schedule = 0.1, prefix: int = 0) -> None:
        super().__init__(p)
        self.prefix = check_prefix(prefix)

    def forward(
        self,
        scores: Tensor,
        *,
        visible: Tensor | None = None,
        protected: Tensor | None = None,
        **source: Unpack[Source],
    ) -> Tensor:
        """Hide keys in training, return the very `scores` otherwise.

        Args:
            scores: of any shape (..., queries, keys), before the softmax; or an additive mask of that shape.
            visible: which keys a query may see, bool, broadcasting to the scores; by default those whose
                score is not -inf. Give it where hidden keys are marked by a finite number such as -1e9.
            protected: further keys that no query loses, bool, broadcasting to the scores.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the scores are no floating tensor of two axes or more, or marks do not fit.
        """
        if not (self.drawing and self.can_draw):
            return scores
        check_tensor(scores, "scores")
        if scores.dim() < 2:
            raise TensorError("scores", "has axes (..., queries, keys)", tuple(scores.shape), "add the axes")
        able = scores != -torch.inf if visible is None else fitting("visible", visible, scores)
        safe = spared(scores, self.prefix, protected)
        if scores.numel() == 0:
            return scores
        gone = draws.below_but_one(scores, self.p, able, **self.source(source)) & ~safe
        return torch.where(laid(gone, scores), -torch.inf, scores)

    def extra_repr(self) -> str:
        """Show what is protected too."""
        return super().extra_repr() + (f", prefix={self.prefix}" if self.prefix else "")
