"""`torch.nn.MultiheadAttention` with dropout at our addresses, its probabilities not in memory."""

from __future__ import annotations

import math
from typing import Any, Unpack

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import RATE, DropkitError
from dropkit.torch import functional
from dropkit.torch.attention import scaled_dot_product_attention
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.stochastic import Stochastic

__all__ = ["MultiheadAttention"]

Tensor = torch.Tensor


class MultiheadAttention(Stochastic, nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention`: same arguments and parameters; it drops as `dropkit.torch.attention`.

    What does not draw is left to torch, its fused path included. Where weights are asked for
    (`need_weights=True`, torch's default) all of them have to be in memory; they are returned as dropped, as
    torch does.

    Raises:
        DropkitError: the features do not part into the heads, or the rate lies outside [0, 1]; in a call that
            draws, a mask does not fit.

    >>> MultiheadAttention(8, 2, dropout=0.1)(*torch.randn(3, 5, 8).unbind(0))[0].shape
    torch.Size([5, 8])
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        try:
            nn.MultiheadAttention.__init__(self, *arguments, **settings)
        except (AssertionError, ValueError) as error:
            sizes = {**dict(zip(("embed_dim", "num_heads"), arguments, strict=False)), **settings}
            rule, mend = "is a multiple of num_heads, both above 0", "give e.g. embed_dim=64, num_heads=8"
            raise DropkitError("embed_dim", rule, sizes, mend) from error
        self.p = self.dropout
        self.adopt()

    @property
    def p(self) -> float:
        """The probability that a weight is dropped: the `dropout` of torch, checked where it is set."""
        return float(self.dropout)

    @p.setter
    def p(self, p: float) -> None:
        self.dropout = RATE.check("p", p)

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the module itself."""
        return self

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything."""
        return float(self.dropout) > 0

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
        *,
        source: Source | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend: arguments and results as in torch, and `source` as in `dropkit.torch.attention`."""
        if not (self.drawing and self.can_draw):
            return self._without(
                query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
            )
        alone = query.dim() == 2
        inputs = [
            x.unsqueeze(0) if alone else x if self.batch_first else x.transpose(0, 1)
            for x in (query, key, value)
        ]
        self._check(inputs, key_padding_mask, attn_mask, is_causal, alone)
        q, k, v = self._projected(*inputs)
        mask = self._mask(q, k, key_padding_mask, attn_mask, alone)
        k, v, mask = self._extended(k, v, mask)
        given = self.source({} if source is None else source)
        out, weights = _attend(q, k, v, mask, float(self.dropout), need_weights, **given)
        out = self.out_proj(out.transpose(1, 2).flatten(2))
        out = out.squeeze(0) if alone else out if self.batch_first else out.transpose(0, 1)
        if weights is not None:
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights.squeeze(0) if alone else weights
        return out, weights

    def _check(
        self,
        inputs: list[Tensor],
        padding: Tensor | None,
        attn_mask: Tensor | None,
        is_causal: bool,
        alone: bool,
    ) -> None:
        """Refuse what torch refuses, before anything is drawn."""
        (batch, queries), (keys_batch, keys) = (x.shape[:2] for x in inputs[:2])
        if not batch == keys_batch == inputs[2].shape[0] or inputs[2].shape[1] != keys:
            shapes = [tuple(x.shape) for x in inputs]
            raise TensorError("query, key and value", "fit one another", shapes, "see the docstring")
        if is_causal and attn_mask is None:
            mend = "give e.g. torch.ones(n, n, dtype=torch.bool).triu(1) as attn_mask"
            raise TensorError("is_causal", "says what attn_mask is, and comes with it", True, mend)
        rows: list[tuple[int, ...]] = [(keys,) if alone else (batch, keys)]
        pairs: list[tuple[int, ...]] = [(queries, keys), (batch * self.num_heads, queries, keys)]
        for name, mask, shapes in (("key_padding_mask", padding, rows), ("attn_mask", attn_mask, pairs)):
            if mask is None:
                continue
            if mask.dtype != torch.bool and not mask.is_floating_point():
                mend = f"write {name}.bool() where true is left out"
                raise TensorError(name, "is bool, or a float that is added", mask.dtype, mend)
            if tuple(mask.shape) not in shapes:
                rule = f"has the shape {' or '.join(map(str, shapes))}"
                raise TensorError(name, rule, tuple(mask.shape), "give an entry for each pair or key")

    def _without(self, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        """What torch does without dropout, whatever the flag of training says."""
        training, self.training = self.training, self.training and self.drawing
        try:
            return nn.MultiheadAttention.forward(self, *arguments)
        finally:
            self.training = training

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        apart = self.q_proj_weight, self.k_proj_weight, self.v_proj_weight
        weights = self.in_proj_weight.chunk(3) if self._qkv_same_embed_dim else apart
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        made = zip((query, key, value), weights, biases, strict=True)
        return tuple(self._heads(F.linear(x, w, b)) for x, w, b in made)

    def _heads(self, x: Tensor) -> Tensor:
        return x.reshape(*x.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2)

    def _mask(
        self, q: Tensor, k: Tensor, padding: Tensor | None, attn_mask: Tensor | None, alone: bool
    ) -> Tensor | None:
        """Both masks as one to be added: (batch, heads or 1, queries, keys)."""
        mask: Tensor | None = None
        if attn_mask is not None:
            mask = _added(attn_mask, q.dtype)
            mask = mask if mask.dim() == 2 else mask.reshape(q.shape[0], self.num_heads, *mask.shape[-2:])
        if padding is not None:
            padding = _added(padding.unsqueeze(0) if alone else padding, q.dtype)[:, None, None]
            mask = padding if mask is None else mask + padding
        return (
            None
            if mask is None
            else mask.expand(q.shape[0], -1, q.shape[2], k.shape[2])
            if mask.dim() == 4
            else mask
        )

    def _extended(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append the keys and values that torch offers to learn, and the zero that it offers to attend to."""
        more = 0
        if self.bias_k is not None and self.bias_v is not None:
            heads = (1, self.num_heads, 1, self.head_dim)
            k, v = (
                torch.cat([x, bias.reshape(heads).expand(x.shape[0], -1, -1, -1)], 2)
                for x, bias in ((k, self.bias_k), (v, self.bias_v))
            )
            more += 1
        if self.add_zero_attn:
            k, v = (F.pad(x, (0, 0, 0, 1)) for x in (k, v))
            more += 1
        return k, v, mask if mask is None or not more else F.pad(mask, (0, more))


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    if mask.dtype != torch.bool:
        return mask.to(dtype)
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(mask, -math.inf)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, rate: float, weights: bool, **source: Unpack[Source]
) -> tuple[Tensor, Tensor | None]:
    if not weights:
        return scaled_dot_product_attention(q, k, v, mask, rate, source=source), None
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    p = torch.softmax(logits if mask is None else logits + mask, -1)
    p = functional.dropout(p, rate, **source)
    return p @ v, p
