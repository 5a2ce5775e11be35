"""The roads of attention: the native kernel, eagerly or as operators of a graph, and plain operations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch.library import Library, register_autograd, register_fake

from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.torch import functional, native
from dropkit.torch.autograd import eager
from dropkit.torch.check import TensorError
from dropkit.torch.draws import below_but_one
from dropkit.torch.functional import Source
from dropkit.torch.keys import AnyKey, draw_tensor, draw_words, key_tensor, key_words
from dropkit.torch.query_thresholds import query_thresholds

__all__ = ["Settings", "Shape", "attended", "plain", "served"]

Tensor = torch.Tensor
_DEEPEST = 256  # the native kernel's line of a buffer
_TYPES = torch.float32, torch.bfloat16, torch.float16


class Shape(NamedTuple):
    """The sizes of query, key and value, their leading axes as one."""

    batch: int
    heads: int
    key_heads: int
    queries: int
    keys: int
    depth: int
    value_depth: int

    @classmethod
    def of(cls, query: Tensor, key: Tensor, value: Tensor, grouped: bool) -> Shape:
        """Return the sizes, or refuse what does not fit together."""
        for name, tensor in (("query", query), ("key", key), ("value", value)):
            if tensor.dim() < 3:
                rule = "has at least three axes: (heads, length, depth)"
                raise TensorError(name, rule, tuple(tensor.shape), "add axes of size 1 with unsqueeze")
        *batch, heads, queries, depth = query.shape
        rest = (*key.shape[:-3], *key.shape[-1:])
        fits = (*batch, depth) == rest and key.shape[:-1] == value.shape[:-1]
        shared = key.shape[-3] == heads or (grouped and key.shape[-3] > 0 and heads % key.shape[-3] == 0)
        if not fits or not shared:
            shapes = tuple(tuple(tensor.shape) for tensor in (query, key, value))
            raise TensorError("query, key and value", "fit one another", shapes, "see the docstring")
        return cls(math.prod(batch), heads, key.shape[-3], queries, key.shape[-2], depth, value.shape[-1])


class Settings(NamedTuple):
    """What is no tensor; `keys` says that keys are dropped, not probabilities."""

    scale: float
    causal: bool
    rate: float
    keys: bool = False


def served(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> bool:
    """Whether the native kernel takes these tensors: as they are, or, in a graph, when it runs."""
    return (
        native.AVAILABLE
        and torch.autograd.forward_ad._current_level < 0
        and max(query.shape[-1], value.shape[-1]) <= _DEEPEST
        and query.dtype in _TYPES
        and all(t.dtype == query.dtype and t.is_cpu and _known(t) for t in (query, key, value))
        and (
            attn_mask is None
            or (
                attn_mask.dtype in (torch.bool, torch.float32, query.dtype)
                and attn_mask.is_cpu
                and not attn_mask.requires_grad
            )
        )
    )


def _known(x: Tensor) -> bool:
    """Whether nothing but a graph stands between us and the memory of x."""
    if torch.compiler.is_compiling():
        return not torch._C._are_functorch_transforms_active()
    return eager(x)


def attended(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: Settings, source: Source
) -> Tensor:
    """Return what the native kernel makes of (batch, heads, length, depth); half types are rounded once."""
    if query.dtype != torch.float32:
        out = attended(query.float(), key.float(), value.float(), mask, settings, source)
        return out.to(query.dtype)
    given = source.get("key")
    if torch.compiler.is_compiling():
        generator = source.get("generator")
        address = draw_tensor(query, generator) if given is None else key_tensor(given, query)
        made: Tensor = torch.ops.dropkit.attention(query, key, value, mask, address, *settings)[0]
        return made
    words: AnyKey = (
        Key(*draw_words(query, source.get("generator"))) if given is None else Key(*key_words(given))
    )
    return _Eager.apply(query, key, value, mask, words, settings)  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


def plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, settings: Settings, source: Source
) -> Tensor:
    """Return the same by operations of torch, with all probabilities in memory."""
    shared = query.shape[-3] // max(key.shape[-3], 1)
    if shared != 1:
        key, value = (tensor.repeat_interleave(shared, -3) for tensor in (key, value))
    logits = query @ key.mT * settings.scale
    if settings.causal:
        mask = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).tril()
    if mask is not None:
        logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    if settings.keys:
        gone = below_but_one(logits, settings.rate, logits != -math.inf, **source)
        logits = logits.masked_fill(gone, -math.inf)
    alone = (logits == -math.inf).all(-1, keepdim=True)
    p = torch.softmax(logits.masked_fill(alone, 0.0), -1).masked_fill(alone, 0.0)
    p = p if settings.keys else functional.dropout(p, settings.rate, **source)
    return p.to(value.dtype) @ value  # of a mask that is wider


def _forward(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, address: AnyKey, *asked: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the values and what backward needs: the logarithm of each row's sum, and a threshold a query."""
    settings = Settings(*asked)
    thresholds = _thresholds(Shape.of(query, key, value, True), mask, address, settings)
    out = query.new_empty(*query.shape[:-1], value.shape[-1])
    sums = query.new_empty(query.shape[:-1])
    rows = _rows(query), _rows(key), _rows(value)
    inputs = _inputs(*rows, mask, thresholds, address, settings)
    native.attention(*inputs, out.data_ptr(), sums.data_ptr(), torch.get_num_threads())
    return out, sums, thresholds


def _backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    out: Tensor,
    sums: Tensor,
    thresholds: Tensor,
    address: AnyKey,
    *asked: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients for query, key and value."""
    grad = _rows(grad)
    gradients = query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)
    ends = list(grad.stride()[:3]), grad.data_ptr(), out.data_ptr(), sums.data_ptr()
    places = [tensor.data_ptr() for tensor in gradients]
    rows = _rows(query), _rows(key), _rows(value)
    inputs = _inputs(*rows, mask, thresholds, address, Settings(*asked))
    native.attention_backward(*inputs, *ends, places, torch.get_num_threads())
    return gradients


class _Eager(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        address: Key,
        settings: Settings,
    ) -> Tensor:
        out, *kept = _forward(query, key, value, mask, address, *settings)
        ctx.save_for_backward(query, key, value, mask, out, *kept)
        ctx.address, ctx.settings = address, settings
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled() or not eager(grad):  # a second derivative, or a batch of gradients
            *inputs, mask = ctx.saved_tensors[:4]
            with torch.enable_grad():
                query, key, value = (x if x.requires_grad else x.detach().requires_grad_() for x in inputs)
                out = plain(query, key, value, mask, ctx.settings, {"key": ctx.address})
                graph = {"create_graph": True, "materialize_grads": True}
                return (*torch.autograd.grad(out, (query, key, value), grad, **graph), None, None, None)
        return (*_backward(grad, *ctx.saved_tensors, ctx.address, *ctx.settings), None, None, None)


def _rows(x: Tensor) -> Tensor:
    """The kernel reads rows of contiguous numbers, any distance apart."""
    return x if x.stride(-1) == 1 and not x.is_neg() else x.contiguous().resolve_neg()


def _inputs(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    thresholds: Tensor,
    address: AnyKey,
    settings: Settings,
) -> tuple[Any, ...]:
    strides = [stride for tensor in (query, key, value) for stride in tensor.stride()[:3]]
    strides += mask.stride() if mask is not None else (0, 0, 0, 0)
    tensors = query, key, value, mask, thresholds
    places = [0 if tensor is None else tensor.data_ptr() for tensor in tensors]
    kind = 0 if mask is None else 1 if mask.dtype == torch.bool else 2
    kept = 0.0 if settings.rate == 1 else 1 / (1 - settings.rate)
    drops = *key_words(address), threshold(settings.rate, torch), 1.0 if settings.keys else kept
    shape = list(Shape.of(query, key, value, True))
    return shape, strides, places, kind, settings.scale, settings.causal, *drops


def _thresholds(shape: Shape, mask: Tensor | None, address: AnyKey, settings: Settings) -> Tensor:
    """Return the threshold of each query's keys where keys are dropped, else nothing."""
    if not settings.keys:
        return torch.empty(0, dtype=torch.int64, device="cpu")

    def visible(b: Tensor, h: Tensor, q: Tensor) -> Tensor:
        if settings.causal:
            return torch.arange(shape.keys, device="cpu") <= q[:, None]
        assert mask is not None
        own = mask[b, h, q]  # of these rows alone: a mask that is expanded is never whole
        return own if own.dtype == torch.bool else own != -math.inf

    sizes = shape.batch, shape.heads, shape.queries, shape.keys
    sees = visible if settings.causal or mask is not None else None
    return query_thresholds(sizes, threshold(settings.rate, torch), key_words(address), sees)


_LIBRARY: Any = Library("dropkit", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch.library is untyped
_INPUTS = "Tensor query, Tensor key, Tensor value, Tensor? mask"
_ASKED = "Tensor address, float scale, bool causal, float rate, bool keys"
_KEPT = "Tensor out, Tensor sums, Tensor thresholds"
_LIBRARY.define(f"attention({_INPUTS}, {_ASKED}) -> (Tensor, Tensor, Tensor)")
_LIBRARY.define(f"attention_backward(Tensor grad, {_INPUTS}, {_KEPT}, {_ASKED}) -> (Tensor, Tensor, Tensor)")
_LIBRARY.impl("attention", _forward, "CPU")
_LIBRARY.impl("attention_backward", _backward, "CPU")


def _fake(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    rows = query.shape[:-1]
    thresholds = query.new_empty(rows if rest[-1] else (0,), dtype=torch.int64)
    return query.new_empty(*rows, value.shape[-1]), query.new_empty(rows), thresholds


def _fake_backward(grad: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:3])


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    query, key, value, mask, address, *ctx.settings = inputs
    ctx.save_for_backward(query, key, value, mask, *output, address)
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:
    gradients = torch.ops.dropkit.attention_backward(grad, *ctx.saved_tensors, *ctx.settings)
    return (*gradients, *(None,) * 6)


register_fake("dropkit::attention", _fake, lib=_LIBRARY)
register_fake("dropkit::attention_backward", _fake_backward, lib=_LIBRARY)
register_autograd("dropkit::attention", _differentiate, setup_context=_keep, lib=_LIBRARY)
