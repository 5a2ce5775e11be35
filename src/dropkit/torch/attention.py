"""Attention with dropout on its probabilities, in memory that grows with the length, not with its square."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch.nn import functional as F

from dropkit.core.address import Words
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.core.schedule import Schedule
from dropkit.torch import functional, native
from dropkit.torch.autograd import eager
from dropkit.torch.check import check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.keys import draw_words, key_words, refuse_trace
from dropkit.torch.rated import Rated

__all__ = ["Attention", "scaled_dot_product_attention"]

Tensor = torch.Tensor
_torchs_own = F.scaled_dot_product_attention  # also while `replace_functional` has ours in its place
_DEEPEST = 256  # the native kernel's line of a buffer


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
    source: Source | None = None,
) -> Tensor:
    """Return dropout(softmax(scale query key' + mask)) value.

    It takes the place of `torch.nn.functional.scaled_dot_product_attention`, which drops in evaluation too.
    The mask of the dropout is that of `dropkit.drop(probabilities, dropout_p)` under the same key. In float32
    on a CPU neither the probabilities nor their mask are ever whole in memory, with gradients either;
    elsewhere plain operations serve.

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
        source: `key` or `generator` of the draws; see `dropkit.torch.functional.Source`.

    Raises:
        DropkitError: dropout_p lies outside [0, 1], or both masks are given.

    >>> q, k, v = torch.randn(3, 1, 2, 5, 8).unbind(0)
    >>> scaled_dot_product_attention(q, k, v, dropout_p=0.1, source={"key": 7}).shape
    torch.Size([1, 2, 5, 8])
    """
    rate = RATE.check("dropout_p", dropout_p)
    given: Source = {} if source is None else source
    check_source(**given)
    if attn_mask is not None and is_causal:
        raise DropkitError(
            "attn_mask", "is left out where is_causal is True", "a mask", "give one of the two"
        )
    if not training or rate == 0:
        return _torchs_own(query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa)
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        check_tensor(tensor, name)
    shape = _Shape.of(query, key, value, enable_gqa)
    whole = None if attn_mask is None else _spread(attn_mask, query, shape)
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if max(shape.depth, shape.value_depth) <= _DEEPEST and _served(query, key, value, attn_mask):
        refuse_trace()
        address, generator = given.get("key"), given.get("generator")
        words = draw_words(query, generator) if address is None else key_words(address)
        settings = _Settings(shape, float(scale), is_causal, rate, words)
        mask = None if whole is None else whole.reshape(shape.batch, *whole.shape[-3:])
        heads = [tensor.reshape(shape.batch, *tensor.shape[-3:]) for tensor in (query, key, value)]
        out: Tensor = _Attention.apply(*heads, mask, settings)  # type: ignore[no-untyped-call]  # it is untyped
        return out.reshape(*query.shape[:-1], value.shape[-1])
    return _plain(query, key, value, whole, rate, is_causal, scale, given)


class Attention(Rated):
    """`scaled_dot_product_attention` as a layer that follows `train()`, `eval()` and `dropkit.mode`.

    Args:
        p: the probability that a probability is dropped, in [0, 1], or a schedule.
        is_causal: whether a query sees no later key.
        scale: of the products; by default 1 / sqrt(depth).
        enable_gqa: whether key and value have fewer heads than the query.

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
    ) -> None:
        super().__init__(p)
        self.is_causal, self.scale, self.enable_gqa = is_causal, scale, enable_gqa

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
            source=self.source({} if source is None else source),
        )

    def extra_repr(self) -> str:
        """Show the rate and the kind of mask."""
        return f"p={self.p}, is_causal={self.is_causal}"


class _Shape(NamedTuple):
    batch: int
    heads: int
    key_heads: int
    queries: int
    keys: int
    depth: int
    value_depth: int

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, grouped: bool) -> _Shape:
        for name, tensor in (("query", query), ("key", key), ("value", value)):
            if tensor.dim() < 3:
                rule = "has at least three axes: (heads, length, depth)"
                raise DropkitError(name, rule, tuple(tensor.shape), "add axes of size 1 with unsqueeze")
        *batch, heads, queries, depth = query.shape
        rest = (*key.shape[:-3], *key.shape[-1:])
        fits = (*batch, depth) == rest and key.shape[:-1] == value.shape[:-1]
        shared = key.shape[-3] == heads or (grouped and key.shape[-3] > 0 and heads % key.shape[-3] == 0)
        if not fits or not shared:
            shapes = tuple(tuple(tensor.shape) for tensor in (query, key, value))
            raise DropkitError("query, key and value", "fit one another", shapes, "see the docstring")
        return cls(math.prod(batch), heads, key.shape[-3], queries, key.shape[-2], depth, value.shape[-1])


class _Settings(NamedTuple):
    shape: _Shape
    scale: float
    causal: bool
    rate: float
    words: Words[Any]

    @property
    def drops(self) -> tuple[Any, ...]:
        """The address, the threshold and the factor of what is kept."""
        kept = 0.0 if self.rate == 1 else 1 / (1 - self.rate)
        return (*self.words, threshold(self.rate, torch), kept)


def _served(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> bool:
    """Whether the native kernel takes these tensors as they are."""
    floats = all(t.dtype == torch.float32 and t.is_cpu and eager(t) for t in (query, key, value))
    known = attn_mask is None or (
        attn_mask.dtype in (torch.bool, torch.float32) and attn_mask.is_cpu and not attn_mask.requires_grad
    )
    level = torch.autograd.forward_ad._current_level
    return native.AVAILABLE and floats and known and level < 0


def _spread(mask: Tensor, query: Tensor, shape: _Shape) -> Tensor:
    wanted = (*query.shape[:-1], shape.keys)
    try:
        return mask.expand(wanted)
    except RuntimeError as error:
        rule = f"broadcasts to {wanted}"
        raise DropkitError("attn_mask", rule, tuple(mask.shape), "give an entry for each pair") from error


def _plain(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    rate: float,
    causal: bool,
    scale: float,
    source: Source,
) -> Tensor:
    """Return the same by operations of torch, with all probabilities in memory."""
    shared = query.shape[-3] // max(key.shape[-3], 1)
    if shared != 1:
        key, value = (tensor.repeat_interleave(shared, -3) for tensor in (key, value))
    logits = query @ key.mT * scale
    if causal:
        mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if mask is not None:
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    alone = (logits == -math.inf).all(-1, keepdim=True)
    p = torch.softmax(logits.masked_fill(alone, 0.0), -1).masked_fill(alone, 0.0)
    return functional.dropout(p, rate, **source) @ value


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: _Settings
    ) -> Tensor:
        shape = settings.shape
        out = torch.empty(shape.batch, shape.heads, shape.queries, shape.value_depth)
        sums = torch.empty(shape.batch, shape.heads, shape.queries)
        ends = out.data_ptr(), sums.data_ptr(), torch.get_num_threads()
        rows = _rows(query), _rows(key), _rows(value)
        native.attention(*_inputs(*rows, mask, settings), *ends)
        ctx.save_for_backward(query, key, value, mask, out, sums)
        ctx.settings = settings
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, mask, out, sums = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative will be asked for
            return (*_recorded(query, key, value, mask, grad, ctx.settings), None, None)
        grad = _rows(grad)
        gradients = [torch.empty(tensor.shape) for tensor in (query, key, value)]
        ends = list(grad.stride()[:3]), grad.data_ptr(), out.data_ptr(), sums.data_ptr()
        places = [tensor.data_ptr() for tensor in gradients]
        rows = _rows(query), _rows(key), _rows(value)
        inputs = _inputs(*rows, mask, ctx.settings)
        native.attention_backward(*inputs, *ends, places, torch.get_num_threads())
        return (*gradients, None, None)


def _recorded(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, grad: Tensor, settings: _Settings
) -> tuple[Tensor, ...]:
    """Return the gradients as a graph of plain operations."""
    word, call, stream = settings.words
    source: Source = {"key": Key(word, call, stream)}
    out = _plain(query, key, value, mask, settings.rate, settings.causal, settings.scale, source)
    return torch.autograd.grad(out, (query, key, value), grad, create_graph=True, materialize_grads=True)


def _rows(x: Tensor) -> Tensor:
    """The kernel reads rows of contiguous numbers, any distance apart."""
    return x if x.stride(-1) == 1 and not x.is_neg() else x.contiguous().resolve_neg()


def _inputs(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: _Settings
) -> tuple[Any, ...]:
    strides = [stride for tensor in (query, key, value) for stride in tensor.stride()[:3]]
    strides += mask.stride() if mask is not None else (0, 0, 0, 0)
    places = [tensor.data_ptr() for tensor in (query, key, value)]
    kind = 0 if mask is None else 1 if mask.dtype == torch.bool else 2
    at = 0 if mask is None else mask.data_ptr()
    call = kind, settings.scale, settings.causal, *settings.drops
    return list(settings.shape), strides, [*places, at], *call
