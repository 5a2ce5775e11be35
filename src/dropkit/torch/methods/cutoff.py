"""Cutoff for torch: a layer for embedded texts, and the divergence that holds their views together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import DropkitError
from dropkit.core.schedule import Schedule
from dropkit.methods.cutoff import KINDS, cut, divergence, span
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.subsets import check_prefix, check_tokens, free_tokens
from dropkit.torch.two_passes import mean_rows

__all__ = ["Cutoff", "jensen_shannon"]

Tensor = torch.Tensor


class Cutoff(Rated):
    """A share of an embedded text is erased: tokens, features, or one span of tokens (Shen et al. 2020).

    Exactly the whole number nearest to p n of n unprotected tokens (of d features) becomes 0 in each text;
    what is left is not scaled. Evaluation is the identity.

    Args:
        p: the share that is erased, in [0, 1], or a schedule.
        kind: `"token"`, `"feature"` or `"span"`.
        prefix: how many leading positions are never erased.

    Raises:
        DropkitError: p lies outside [0, 1], the kind is unknown, or prefix is no count.

    >>> (Cutoff(0.25, "span")(torch.ones(2, 8, 3)) == 0).all(-1).sum(-1)
    tensor([2, 2])
    """

    def __init__(
        self, p: float | Schedule = 0.1, kind: Literal["token", "feature", "span"] = "token", prefix: int = 0
    ) -> None:
        super().__init__(p)
        self.kind, self.prefix = KINDS.check("kind", kind), check_prefix(prefix)

    def forward(self, input: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Erase in training, return the very `input` otherwise.

        Args:
            input: (batch, tokens, features).
            protected: positions that are never erased, bool (batch, tokens), e.g. padding.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input has other axes, or `protected` does not fit.
        """
        if not (self.drawing and self.can_draw):
            return input
        check_tokens(input)
        free = free_tokens(input, self.prefix, protected)
        if input.numel() == 0:
            return input
        return torch.where(self._gone(input, free, self.source(source)), 0.0, input)

    def _gone(self, input: Tensor, free: Tensor, source: Source) -> Tensor:
        batch, tokens, features = input.shape
        size = {"token": tokens, "feature": features, "span": 1}[self.kind]
        u = draws.words(input, (batch, size), "b n -> b n", **source)
        if self.kind == "feature":
            every = torch.ones(batch, features, dtype=torch.bool, device=input.device)
            columns: Tensor = cut(u, every, self.p, torch)
            return free[:, :, None] & columns[:, None, :]
        erase = cut if self.kind == "token" else span
        gone: Tensor = erase(u, free, self.p, torch)
        return gone[:, :, None]

    def extra_repr(self) -> str:
        """Show the kind and the prefix too."""
        return f"{super().extra_repr()}, kind={self.kind!r}, prefix={self.prefix}"


def jensen_shannon(logits: Sequence[Tensor]) -> Tensor:
    """Return the mean Jensen-Shannon divergence of predictions for several views of a batch, in nats.

    (1 / N) sum_i KL(p_i || mean of all p), p_i = softmax(logits_i), averaged over the batch (Shen et al.
    2020). It is 0 where all views agree or the batch is empty, and log(N) at most. For
    trainers there are `dropkit.torch.lightning.LossCallback` and
    `dropkit.torch.transformers.with_loss`.

    Args:
        logits: one tensor (..., classes) a view, two or more, all of one shape.

    Returns:
        a number as a tensor, in float32 at least.

    Raises:
        DropkitError: there are fewer than two views, or their shapes differ.

    >>> jensen_shannon([torch.zeros(4, 3), torch.zeros(4, 3)])
    tensor(0.)
    """
    views = _views(logits)
    log_p = torch.stack([torch.log_softmax(widen(view), -1) for view in views])
    rows: Tensor = divergence(log_p, torch)
    return mean_rows(rows)


def _views(logits: Any) -> list[Tensor]:
    views = list(logits)
    if len(views) < 2:
        rule = "has one tensor a view, two or more"
        raise DropkitError("logits", rule, len(views), "give a list, e.g. [model(x), model(cutoff(x))]")
    for view in views:
        check_tensor(view, "logits")
        if view.shape != views[0].shape or view.dim() == 0:
            rule = f"have one shape (..., classes), {tuple(views[0].shape)}"
            raise TensorError("logits", rule, tuple(view.shape), "compare the same texts")
    return views
