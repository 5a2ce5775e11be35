"""DropKey for torch: a layer for scores, or for the bias that fused attention adds to them."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from dropkit.core.check import DropkitError
from dropkit.core.rate import Schedule
from dropkit.methods.drop_key import hidden
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

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

    Raises:
        DropkitError: p lies outside [0, 1].

    >>> scores = torch.zeros(1, 1, 2, 4)
    >>> torch.softmax(DropKey(1.0)(scores, key=1), dim=-1).sum(-1)
    tensor([[[1., 1.]]])
    """

    def __init__(self, p: float | Schedule = 0.1) -> None:
        super().__init__(p)

    def forward(self, scores: Tensor, *, visible: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Hide keys in training, return the very `scores` otherwise.

        Args:
            scores: of any shape (..., queries, keys), before the softmax; or an additive mask of that shape.
            visible: which keys a query may see, bool, broadcasting to the scores; by default those whose
                score is not -inf. Give it where hidden keys are marked by a finite number such as -1e9.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the scores are no floating tensor of two axes or more, or `visible` does not fit.
        """
        if not (self.drawing and self.can_draw):
            return scores
        check_tensor(scores, "scores")
        if scores.dim() < 2:
            raise TensorError("scores", "has axes (..., queries, keys)", tuple(scores.shape), "add the axes")
        able = scores != -torch.inf if visible is None else _fitting(visible, scores)
        if scores.numel() == 0:
            return scores
        gone = hidden(draws.words(scores, **self.source(source)), self.p, torch, able)
        return torch.where(gone, -torch.inf, scores)


def _fitting(visible: Any, scores: Tensor) -> Tensor:
    if not isinstance(visible, Tensor) or visible.dtype != torch.bool:
        mend = "mark what may be seen, e.g. visible=mask == 0"
        raise DropkitError("visible", "is a bool tensor, true where a key may be seen", visible, mend)
    try:
        return visible.expand(scores.shape)
    except RuntimeError as error:
        rule = f"broadcasts to scores of shape {tuple(scores.shape)}"
        raise DropkitError("visible", rule, tuple(visible.shape), "add axes of size 1") from error
