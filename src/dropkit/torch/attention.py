"""Attention with dropout on its probabilities, in memory that grows with the length, not with its square."""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from dropkit.core.check import RATE, DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.torch.attention_kernel import Settings, Shape, attended, plain, served
from dropkit.torch.check import TensorError, check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.keys import refuse_trace
from dropkit.torch.rated import Rated

__all__ = ["Attention", "scaled_dot_product_attention"]

Tensor = torch.Tensor
_torchs_own = F.scaled_dot_product_attention  # also while `replace_functional` has ours in its place


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    *,
    training: bool = True,
    drop_key: bool = False,
    source: Source | None = None,
) -> Tensor:
    """Return dropout(softmax(scale query key' + mask)) value.

    It takes the place of `torch.nn.functional.scaled_dot_product_attention`, which drops in evaluation too.
    The mask of the dropout is that of `dropkit.drop(probabilities, dropout_p)` under the same key. In float32
    and half types on a CPU neither the probabilities nor their mask are ever whole in memory, with gradients
    and in compiled graphs either; elsewhere, and in float64, plain operations serve.

    Args:
        query: (..., heads, queries, depth).
        key: (..., heads, keys, depth).
        value: (..., heads, keys, value depth).
        attn_mask: added to the logits, or a bool tensor that is true where a key takes part; broadcasts to
            (..., heads, queries, keys). A query without any key gets zeros.
        dropout_p: the probability that a probability is dropped, in [0, 1].
        is_causal: a query sees no later key; goes without `attn_mask`.
        scale: of the products; by default 1 / sqrt(depth).
        enable_gqa: key and value have fewer heads, each of which serves several of the query.
        training: False leaves dropout out, whatever its rate: then this is torch's own call.
        drop_key: drop keys before the softmax and not probabilities behind it: the law of
            `dropkit.torch.DropKey` (Li et al. 2023), whose decisions these are under the same key.
        source: `key` or `generator` of the draws; see `dropkit.torch.functional.Source`.

    Raises:
        DropkitError: dropout_p lies outside [0, 1], both masks are given, or the tensors do not fit.

    >>> q, k, v = torch.randn(3, 1, 2, 5, 8).unbind(0)
    >>> scaled_dot_product_attention(q, k, v, dropout_p=0.1, source={"key": 7}).shape
    torch.Size([1, 2, 5, 8])
    """
    rate = RATE.check("dropout_p", dropout_p)
    check_kind("drop_key", drop_key, bool, "write True or False")
    given: Source = {} if source is None else source
    check_source(**given)
    if attn_mask is not None and is_causal:
        raise DropkitError(
            "attn_mask", "is left out where is_causal is True", "a mask", "give one of the two"
        )
    _check_lengths(key, value)
    if not training or rate == 0:
        return _torchs_own(query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa)
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        check_tensor(tensor, name)
    if query.dim() == key.dim() == value.dim() == 2:  # one head, without an axis
        query, key, value = (tensor[None] for tensor in (query, key, value))
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask,
            rate,
            is_causal,
            scale,
            enable_gqa,
            drop_key=drop_key,
            source=source,
        )[0]
    query, key, value = _broadcast(query, key, value, enable_gqa)
    kind = query.device.type
    if torch.is_autocast_enabled(kind):  # as torch's own does
        low = torch.get_autocast_dtype(kind)
        query, key, value = (_lowered(tensor, low) for tensor in (query, key, value))
        attn_mask = None if attn_mask is None else _lowered(attn_mask, low)
    for name, tensor in (("key", key), ("value", value)):
        if tensor.dtype != query.dtype:
            raise TensorError(name, f"has the type of query, {query.dtype}", tensor.dtype, "convert it")
    shape = Shape.of(query, key, value, enable_gqa)
    native = served(query, key, value, attn_mask)
    if native and attn_mask is not None and attn_mask.dtype != torch.bool:
        attn_mask = attn_mask.float()  # before it is spread: then a copy would be whole
    whole = None if attn_mask is None else _spread(attn_mask, query, shape)
    scale = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    settings = Settings(float(scale), is_causal, rate, drop_key)
    if not native:
        return plain(query, key, value, whole, settings, given)
    refuse_trace()
    mask = None if whole is None else whole.reshape(shape.batch, *whole.shape[-3:])
    q, k, v = (tensor.reshape(shape.batch, *tensor.shape[-3:]) for tensor in (query, key, value))
    return attended(q, k, v, mask, settings, given).reshape(*query.shape[:-1], value.shape[-1])


class Attention(Rated):
    """`scaled_dot_product_attention` as a layer that follows `train()`, `eval()` and `dropkit.mode`.

    Args:
        p: the probability that a probability is dropped, in [0, 1], or a schedule.
        is_causal: whether a query sees no later key.
        scale: of the products; by default 1 / sqrt(depth).
        enable_gqa: whether key and value have fewer heads than the query.
        drop_key: drop keys before the softmax and not probabilities behind it.

    >>> Attention(0.1)
    Attention(p=0.1, is_causal=False)
    """

    def __init__(
        self,
        p: float | Schedule = 0.1,
        *,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
        drop_key: bool = False,
    ) -> None:
        super().__init__(p)
        self.is_causal, self.scale, self.enable_gqa = is_causal, scale, enable_gqa
        self.drop_key = check_kind("drop_key", drop_key, bool, "write True or False")

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        *,
        source: Source | None = None,
    ) -> Tensor:
        """Return the attended values; arguments as in `scaled_dot_product_attention`."""
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask,
            self.p,
            self.is_causal,
            self.scale,
            self.enable_gqa,
            training=self.drawing,
            drop_key=self.drop_key,
            source=self.source({} if source is None else source),
        )

    def extra_repr(self) -> str:
        """Show the rate and the kind of mask."""
        return f"p={self.p}, is_causal={self.is_causal}" + (", drop_key=True" if self.drop_key else "")


def _check_lengths(key: Tensor, value: Tensor) -> None:
    """Refuse what torch's own call would read past its end."""
    plain = isinstance(key, Tensor) and isinstance(value, Tensor) and not (key.is_nested or value.is_nested)
    if plain and key.dim() > 1 and value.dim() > 1 and key.shape[-2] != value.shape[-2]:
        rule = f"has a row for each of key's, {key.shape[-2]}"
        raise TensorError("value", rule, tuple(value.shape), "give keys and values of one length")


def _spread(mask: Tensor, query: Tensor, shape: Shape) -> Tensor:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        rule = "is bool or has a real floating type"
        raise TensorError("attn_mask", rule, mask.dtype, "write attn_mask.bool() where true takes part")
    wanted = (*query.shape[:-1], shape.keys)
    try:
        return mask.expand(wanted)
    except RuntimeError as error:
        rule = f"broadcasts to {wanted}"
        raise TensorError("attn_mask", rule, tuple(mask.shape), "give an entry for each pair") from error


def _broadcast(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> tuple[Tensor, ...]:
    """Expand the leading axes to one another's, as torch does; what does not fit is refused later."""
    tensors = query, key, value
    least = min(tensor.dim() for tensor in tensors)
    if enable_gqa and least > 2 and key.shape[-3] != value.shape[-3]:  # the kernel knows one number of heads
        key, value = (_repeated(tensor, query.shape[-3]) for tensor in (key, value))
        tensors = query, key, value
    own = 3 if enable_gqa else 2  # the heads are not broadcast but shared
    leads = [tensor.shape[:-own] for tensor in tensors]
    if leads[0] == leads[1] == leads[2] or least < own:
        return tensors
    try:
        lead = torch.broadcast_shapes(*leads)  # type: ignore[no-untyped-call]  # it is untyped
    except RuntimeError:
        return tensors
    return tuple(tensor.expand(*lead, *tensor.shape[-own:]) for tensor in tensors)


def _repeated(tensor: Tensor, heads: int) -> Tensor:
    """Give each head of the query its own, where they can be shared out."""
    has = tensor.shape[-3]
    return tensor.repeat_interleave(heads // has, -3) if has and heads % has == 0 else tensor


def _lowered(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what autocast makes of a tensor: float64, and what is no float, stays."""
    return tensor.to(dtype) if tensor.is_floating_point() and tensor.dtype != torch.float64 else tensor
