"""The forgetful causal mask for torch: a layer that makes the mask of causal attention."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError
from dropkit.core.schedule import Schedule
from dropkit.methods.forgetful_causal_mask import forgotten, visible
from dropkit.torch import draws
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.subsets import check_prefix, free_tokens

__all__ = ["ForgetfulCausalMask"]

Tensor = torch.Tensor


class ForgetfulCausalMask(Rated):
    """A causal mask that hides random past tokens in training (Liu et al. 2022).

    Each sequence draws a rate, uniform in [0, p]; each of its tokens is hidden at that rate from all later
    ones, in all heads. A token always sees itself. In evaluation the mask is the plain causal one.

    Args:
        p: the largest rate, in [0, 1], or a schedule.
        prefix: how many leading positions are never hidden, e.g. 1 for the first token.

    Raises:
        DropkitError: p lies outside [0, 1], or prefix is no count.

    >>> ForgetfulCausalMask(0.15).eval()(torch.zeros(1, 3, dtype=torch.int64))[0, 0]
    tensor([[ True, False, False],
            [ True,  True, False],
            [ True,  True,  True]])
    """

    def __init__(self, p: float | Schedule = 0.15, prefix: int = 1) -> None:
        super().__init__(p)
        self.prefix = check_prefix(prefix)

    def forward(self, input: Tensor, *, protected: Tensor | None = None, **source: Unpack[Source]) -> Tensor:
        """Return the mask for a batch: the attn_mask of `F.scaled_dot_product_attention`.

        `nn.MultiheadAttention` wants the opposite, for each head:
        `(~mask).expand(-1, heads, -1, -1).flatten(0, 1)`.

        Args:
            input: (batch, tokens), numbers of tokens, or (batch, tokens, features), their embeddings: only
                the shape is read.
            protected: further positions that are never hidden, bool (batch, tokens).
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Returns:
            bool (batch, 1, tokens, tokens), true where a query sees a key.

        Raises:
            DropkitError: the input has other axes, or `protected` does not fit.
        """
        if not isinstance(input, Tensor):
            raise DropkitError("input", "is a torch tensor", type(input), "give ids or embeddings")
        if input.dim() not in (2, 3):
            mend = "give ids or embeddings, before they are split into heads"
            raise TensorError(
                "input", "has axes (batch, tokens) or (batch, tokens, features)", tuple(input.shape), mend
            )
        free = free_tokens(input, self.prefix, protected)
        hidden = torch.zeros_like(free)
        if self.drawing and self.can_draw and free.numel():
            hidden = self._forgotten(free, self.source(source)) & free
        mask: Tensor = visible(hidden, torch)
        return mask

    def _forgotten(self, free: Tensor, source: Source) -> Tensor:
        batch, tokens = free.shape
        like = free.new_empty(free.shape, dtype=torch.float32)
        fraction = draws.unit(like, (batch, 1), "b n -> b n", **draws.fold("rate", source))
        u = draws.words(like, (batch, tokens), "b n -> b n", **draws.fold("tokens", source))
        gone: Tensor = forgotten(u, fraction, self.p, torch)
        return gone

    def extra_repr(self) -> str:
        """Show the prefix too."""
        return f"{super().extra_repr()}, prefix={self.prefix}"
