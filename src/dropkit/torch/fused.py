"""Dropout together with what stands beside it in models: one pass over memory, and no mask kept.

The plain composition of the same operations is the reference, and what serves where the native loop does
not: other devices and types, memory with gaps, function transforms and compiled graphs. The masks are equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Unpack, overload

import torch
import torch.nn.functional as F

from dropkit.core.address import Words
from dropkit.core.check import RATE, DropkitError, OneOf
from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.torch import functional, native
from dropkit.torch.autograd import eager
from dropkit.torch.check import TensorError, check_alike, check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.keys import draw_words, key_words

__all__ = ["bias_act_dropout", "dropout_add", "dropout_add_layer_norm"]

Tensor = torch.Tensor
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}
ACTIVATION = OneOf(tuple(ACTIVATIONS))
_TYPES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}


def bias_act_dropout(
    input: Tensor,
    bias: Tensor | None,
    p: float = 0.5,
    activation: str = "gelu",
    training: bool = True,
    **source: Unpack[Source],
) -> Tensor:
    """Return dropout(activation(input + bias)): what follows the first product of a feed-forward block.

    Forward and backward read and write memory once; `input` is all that is kept, where the plain composition
    keeps the sum and the activation too. In half types nothing is rounded in between.

    Args:
        input: (..., features), of a real floating type: the product of a linear layer without its bias.
        bias: (features,), or None.
        p: the probability that an entry is dropped, in [0, 1].
        activation: `"relu"`, `"gelu"` (with the error function), `"gelu_tanh"` or `"silu"`.
        training: False drops nothing.
        **source: `key` and `generator`, as for `dropkit.torch.functional.dropout`, whose mask it is.

    Raises:
        DropkitError: an argument is out of range, or the bias does not fit.

    >>> import torch
    >>> bias_act_dropout(torch.ones(4), torch.zeros(4), 0.5, "relu", key=1)
    tensor([2., 0., 2., 2.])
    """
    p, activation = RATE.check("p", functional.number(p)), ACTIVATION.check("activation", activation)
    _check(input, source)
    if bias is not None:
        check_tensor(bias, "bias")
        if not input.ndim or bias.shape != input.shape[-1:]:
            rule = f"has one entry for each of the features of input, {tuple(input.shape)}"
            raise DropkitError("bias", rule, tuple(bias.shape), "give a vector as long as the last axis")
    if not _served(input, bias):
        return functional.dropout(_activated(input, bias, activation), p, training, **source)
    return _Activated.apply(input, bias, activation, _call(input, p, training, source))  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


def dropout_add(
    input: Tensor, residual: Tensor, p: float = 0.5, training: bool = True, **source: Unpack[Source]
) -> Tensor:
    """Return residual + dropout(input), the end of a residual branch, in one pass; only the key is kept.

    Args:
        input: the branch, of a real floating type.
        residual: what goes past the branch, of the same shape.
        p: the probability that an entry of the branch is dropped, in [0, 1].
        training: False drops nothing.
        **source: `key` and `generator`, as for `dropkit.torch.functional.dropout`, whose mask it is.

    Raises:
        DropkitError: an argument is out of range, or the shapes differ.

    >>> import torch
    >>> dropout_add(torch.ones(4), torch.full((4,), 10.0), 0.5, key=1)
    tensor([12., 10., 12., 12.])
    """
    p = RATE.check("p", functional.number(p))
    _check(input, source)
    check_alike("input", input, "residual", residual)
    if not _served(input, residual):
        return residual + functional.dropout(input, p, training, **source)
    return _Added.apply(input, residual, _call(input, p, training, source))  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


@overload
def dropout_add_layer_norm(
    input: Tensor,
    residual: Tensor,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    p: float = ...,
    eps: float = ...,
    training: bool = ...,
    **source: Unpack[Source],
) -> Tensor: ...
@overload
def dropout_add_layer_norm(
    input: Tensor,
    residual: Tensor,
    weight: Tensor | None = ...,
    bias: Tensor | None = ...,
    p: float = ...,
    eps: float = ...,
    training: bool = ...,
    *,
    prenorm: bool,
    **source: Unpack[Source],
) -> Tensor | tuple[Tensor, Tensor]: ...
def dropout_add_layer_norm(
    input: Tensor,
    residual: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    p: float = 0.5,
    eps: float = 1e-5,
    training: bool = True,
    *,
    prenorm: bool = False,
    **source: Unpack[Source],
) -> Tensor | tuple[Tensor, Tensor]:
    """Return layer_norm(residual + dropout(input)) over the last axis, in one pass.

    Kept for backward are the sum and two numbers a row, as the norm alone keeps them; no mask.

    Args:
        input: (..., features), of a real floating type.
        residual: of the same shape.
        weight: (features,), or None for 1.
        bias: (features,), or None for 0.
        p: the probability that an entry of `input` is dropped, in [0, 1].
        eps: what is added to the variance.
        training: False drops nothing.
        prenorm: return the sum too, which models that normalise before a block hand on.
        **source: `key` and `generator`, as for `dropkit.torch.functional.dropout`, whose mask it is.

    Raises:
        DropkitError: an argument is out of range, or the shapes do not fit.

    >>> import torch
    >>> dropout_add_layer_norm(torch.ones(4), torch.zeros(4), p=0.5, key=1)
    tensor([ 0.5773, -1.7320,  0.5773,  0.5773])
    """
    p = RATE.check("p", functional.number(p))
    _check(input, source)
    check_alike("input", input, "residual", residual)
    if not input.ndim:
        raise TensorError("input", "has an axis of features", (), "add one with unsqueeze(0)")
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and (not input.ndim or vector.shape != input.shape[-1:]):
            rule = f"has one entry for each of the features of input, {tuple(input.shape)}"
            raise DropkitError(name, rule, tuple(vector.shape), "give a vector as long as the last axis")
    if not _served(input, residual, weight, bias):
        added = residual + functional.dropout(input, p, training, **source)
        normed = F.layer_norm(added, input.shape[-1:], weight, bias, eps)
    else:
        call = _call(input, p, training, source)
        normed, added = _Normed.apply(input, residual, weight, bias, eps, call)  # type: ignore[no-untyped-call]  # apply is untyped
    return (normed, added) if prenorm else normed


class _Call(NamedTuple):
    words: Words[int]
    p: float


def _check(input: Tensor, source: Source) -> None:
    check_tensor(input)
    check_source(**source)


def _served(input: Tensor, *others: Tensor | None) -> bool:
    """Whether the native loop takes these tensors as they are."""
    tensors = [input, *(other for other in others if other is not None)]
    return (
        native.AVAILABLE
        and input.dtype in _TYPES
        and input.numel() > 0
        and input.ndim > 0
        and torch.autograd.forward_ad._current_level < 0
        and all(t.is_cpu and t.dtype == input.dtype and eager(t) for t in tensors)
        and all(t.is_contiguous() and not t.is_neg() for t in tensors)
    )


def _call(input: Tensor, p: float, training: bool, source: Source) -> _Call:
    if not training or p == 0:
        return _Call(Words(0, 0, 0), 0.0)
    key = source.get("key")
    words = draw_words(input, source.get("generator")) if key is None else key_words(key)
    return _Call(words, p)


def _run(name: str, x: Tensor, call: _Call, *arguments: Any) -> None:
    columns = x.shape[-1]
    word, number, stream = call.words
    scale = 0.0 if call.p == 1 else 1 / (1 - call.p)
    head = x.numel() // columns, columns, word, number, stream, threshold(call.p, torch), scale
    places = [a.data_ptr() if isinstance(a, Tensor) else 0 if a is None else a for a in arguments]
    native.fused(f"_{name}_{_TYPES[x.dtype]}")(*head, *places, torch.get_num_threads())


def _lines(x: Tensor) -> Tensor:
    """A line of sums for each thread."""
    return torch.zeros(torch.get_num_threads(), x.shape[-1], dtype=torch.float64, device=x.device)


def _activated(input: Tensor, bias: Tensor | None, activation: str) -> Tensor:
    return ACTIVATIONS[activation](input if bias is None else input + bias)


def _again(call: _Call) -> tuple[float, bool, Source]:
    return call.p, call.p > 0, {"key": Key(*call.words)}


def _recorded(outputs: Any, inputs: Sequence[Tensor | None], grads: Any) -> list[Tensor | None]:
    """Return the gradients of a plain composition as a graph: a second derivative will be asked for."""
    wanted = [tensor for tensor in inputs if tensor is not None and tensor.requires_grad]
    found = iter(torch.autograd.grad(outputs, wanted, grads, create_graph=True, materialize_grads=True))
    return [next(found) if t is not None and t.requires_grad else None for t in inputs]


class _Activated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, activation: str, call: _Call) -> Tensor:
        out = torch.empty_like(x)
        _run("activate", x, call, list(ACTIVATIONS).index(activation), x, bias, out)
        ctx.save_for_backward(x, bias)
        ctx.activation, ctx.call = activation, call
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, bias = ctx.saved_tensors
        if torch.is_grad_enabled() or not eager(grad):
            p, training, source = _again(ctx.call)
            with torch.enable_grad():
                out = functional.dropout(_activated(x, bias, ctx.activation), p, training, **source)
                return (*_recorded(out, (x, bias), grad), None, None)
        grad = grad.contiguous()
        through = torch.empty_like(x)
        sums = None if bias is None else _lines(x)
        number = list(ACTIVATIONS).index(ctx.activation)
        _run("activate_backward", x, ctx.call, number, x, bias, grad, through, sums)
        return through, None if sums is None else sums.sum(0).to(x.dtype), None, None


class _Added(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, residual: Tensor, call: _Call) -> Tensor:
        out = torch.empty_like(x)
        _run("add", x, call, x, residual, out)
        ctx.call = call
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        p, training, source = _again(ctx.call)
        through = functional.dropout(grad, p, training, **source) if ctx.needs_input_grad[0] else None
        return through, grad, None


class _Normed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        residual: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
        call: _Call,
    ) -> tuple[Tensor, Tensor]:
        added, out = torch.empty_like(x), torch.empty_like(x)
        mean, deviation = x.new_empty(2, math.prod(x.shape[:-1]), dtype=torch.float32)
        _run("norm", x, call, eps, x, residual, weight, bias, added, out, mean, deviation)
        ctx.save_for_backward(added, weight, bias, mean, deviation)
        ctx.eps, ctx.call = eps, call
        ctx.set_materialize_grads(False)
        return out, added

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_added: Tensor | None) -> tuple[Tensor | None, ...]:
        added, weight, bias, mean, deviation = ctx.saved_tensors
        p, training, source = _again(ctx.call)
        if torch.is_grad_enabled() or grad is None or not eager(grad):
            # The norm alone is plain; the dropout passes its gradient on by the key.
            through = grad_added
            parts: list[Tensor | None] = [None, None]
            if grad is not None:
                sum_ = added if added.requires_grad else added.detach().requires_grad_()
                with torch.enable_grad():
                    normed = F.layer_norm(sum_, added.shape[-1:], weight, bias, ctx.eps)
                    inner, *parts = _recorded(normed, (sum_, weight, bias), grad)
                through = inner if grad_added is None else inner + grad_added  # type: ignore[operator]  # it was asked for
            passed = None if through is None else functional.dropout(through, p, training, **source)
            return passed, through, *parts, None, None
        grad = grad.contiguous()
        grad_added = None if grad_added is None else grad_added.contiguous()
        residual, through = torch.empty_like(added), torch.empty_like(added)
        lines = _lines(added), _lines(added)
        arguments = grad, grad_added, added, mean, deviation, weight, residual, through, *lines
        _run("norm_backward", added, ctx.call, *arguments)
        sums = [line.sum(0).to(added.dtype) for line in lines]
        wanted = [s if vector is not None else None for s, vector in zip(sums, (weight, bias), strict=True)]
        return through, residual, *wanted, None, None
