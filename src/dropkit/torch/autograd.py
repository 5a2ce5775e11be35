"""Gradients: backward applies the forward's factor under the forward's key, so no mask is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad

from dropkit.core.address import Words
from dropkit.core.key import Key
from dropkit.core.rate import ONE
from dropkit.torch import op as _operators  # registers what torch.ops.dropkit offers
from dropkit.torch.check import check_shape, check_writable
from dropkit.torch.keys import AnyKey, draw, draw_tensor, draw_words, key_tensor, key_words, refuse_trace
from dropkit.torch.run import Call, run, widen

__all__ = ["dropped", "eager", "fixed", "multiplied"]

Tensor = torch.Tensor
_OPERATORS = _operators


def dropped(
    x: Tensor,
    call: Call,
    key: AnyKey | None = None,
    *,
    generator: torch.Generator | None = None,
    fill: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """Return m x + b under a key, drawn if none is given, with its gradient: m for x, 1 - m for `fill`."""
    # The schedule may take its step before backward comes, hence the clone and the number: the rate of now
    # counts. What does not fit is refused before a number is taken; in a graph, whose sizes may be symbols,
    # by the operator.
    if not (eager(x) and (x.is_cpu or x.is_cuda)):
        tensor = draw_tensor(x, generator) if key is None else key_tensor(key, x)
        if call.threshold is not None:
            call = Call(call.law, None, torch.ops.dropkit.now(call.threshold))
        y = _traced(x, tensor, call, fill, linear=False)
        return x.copy_(y) if inplace else y
    refuse_trace()
    if x.numel() == 0:
        return x  # as in torch, whatever its rank
    check_shape(call.law, x.shape)
    if inplace:
        check_writable(x)
    words = draw_words(x, generator) if key is None else key_words(_on(x, key))
    if call.threshold is not None:
        call = _now(call, call.threshold)
    if _recorded() and (_differentiable(x) or (fill is not None and _differentiable(fill))):
        return _dropped(x, words, call, fill, inplace)
    return run(x, words, call, fill=fill, inplace=inplace)


def _on(x: Tensor, key: AnyKey) -> AnyKey:
    """A key for a card lies there: as a number it would hold up its stream."""
    return key if x.is_cpu else key_tensor(key, x)


def _now(call: Call, threshold: Tensor) -> Call:
    return (
        Call(call.law, threshold.item() / ONE)
        if threshold.is_cpu
        else Call(call.law, None, threshold.clone())
    )


def fixed(
    x: Tensor, call: Call, key: AnyKey | None = None, generator: torch.Generator | None = None
) -> tuple[Call, AnyKey]:
    """Return the call and its key as they are now, to be carried out again later: a schedule may move on."""
    if not eager(x):
        return call, draw_tensor(x, generator) if key is None else key
    if call.threshold is not None:
        call = Call(call.law, None, call.threshold.clone())
    return call, draw(x, generator) if key is None else key


def multiplied(x: Tensor, factors: Callable[..., Tensor], *kept: Tensor | None) -> Tensor:
    """Return x * factors(*kept), where backward makes the factors again and holds the caller's tensors alone.

    An entry whose factor is 0 is replaced, not multiplied: NaN does not survive it.
    """
    if eager(x) and _recorded() and _differentiable(x):
        return _Multiplied.apply(x, factors, *kept)  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped
    return _times(x, factors(*kept))


def _times(x: Tensor, m: Tensor) -> Tensor:
    return torch.where(m == 0, 0.0, widen(x) * m).to(x.dtype)


class _Multiplied(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factors: Callable[..., Tensor], *kept: Tensor | None) -> Tensor:
        ctx.factors = factors
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)
        return _times(x, factors(*kept))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        return multiplied(grad, ctx.factors, *kept), None, *(None for _ in kept)

    @staticmethod
    def jvp(ctx: Any, x: Tensor, *_: Any) -> Tensor:
        return multiplied(x, ctx.factors, *ctx.saved_tensors)


def eager(x: Tensor) -> bool:
    """Whether nothing stands between us and the memory of x: no graph, transform, fake, mode or batch.

    A mode is what sees every operation, as when a graph is recorded; it would miss what writes to memory. The
    old kind of batch, of `torch.autograd.grad(is_grads_batched=True)`, has no memory of its own.
    """
    return (
        not torch.compiler.is_compiling()
        and type(x) in (torch.Tensor, torch.nn.Parameter)
        and not torch._C._are_functorch_transforms_active()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._functorch.is_legacy_batchedtensor(x)
    )


def _recorded() -> bool:
    return torch.is_grad_enabled() or forward_ad._current_level >= 0


def _differentiable(x: Tensor) -> bool:
    """Whether a gradient may come back to x, or a tangent may come with it."""
    return x.requires_grad or forward_ad._current_level >= 0


def _dropped(
    x: Tensor,
    words: Words[int],
    call: Call,
    fill: Tensor | None = None,
    inplace: bool = False,
    linear: bool = False,
) -> Tensor:
    return _Dropped.apply(x, fill, (words, call, inplace, linear))  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


def _traced(x: Tensor, key: Tensor, call: Call, fill: Tensor | None = None, linear: bool = True) -> Tensor:
    if torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        return _factored(x, key, call, fill, linear)
    road = _Traced if torch.compiler.is_compiling() else _Transformed
    return road.apply(x, key, *call, fill, linear)  # type: ignore[no-any-return,no-untyped-call]  # apply is untyped


def _factored(x: Tensor, key: Tensor, call: Call, fill: Tensor | None, linear: bool) -> Tensor:
    """Return m x + b with m as a tensor, for a transform in a graph: there Dynamo forgets our backward."""
    wide = widen(x).detach()
    m = torch.ops.dropkit.scale(torch.ones_like(wide), key, *call)
    y = torch.where(m == 0, 0.0, widen(x) * m)
    if fill is not None:
        y = y + (1 - m) * fill
    elif not linear:
        y = y + torch.ops.dropkit.drop(torch.zeros_like(wide), key, *call, None)
    return y.to(x.dtype)


class _Dropped(torch.autograd.Function):
    """The road of plain tensors, which a `setup_context` of its own would cost 70 microseconds a call."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, fill: Tensor | None, asked: tuple[Words[int], Call, bool, bool]
    ) -> Tensor:
        # One argument for all that is no tensor: torch looks at each of them.
        ctx.asked = words, call, inplace, linear = asked
        if inplace:
            ctx.mark_dirty(x)
        return run(x, words, call, fill=fill, linear=linear, inplace=inplace)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        words, call, _, _ = ctx.asked
        through = _through(grad, words, call)
        return through, grad - through if ctx.needs_input_grad[1] else None, None

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, fill: Tensor | None, _: Any) -> Tensor:
        words, call, inplace, _ = ctx.asked
        parts = [] if x is None else [_through(x, words, call)]
        parts += [] if fill is None else [fill - _through(fill, words, call)]
        tangent = sum(parts[1:], parts[0])
        return x.copy_(tangent) if inplace and x is not None else tangent


def _through(grad: Tensor, words: Words[int], call: Call) -> Tensor:
    """Return m grad; recorded where a second derivative may be asked for."""
    if not eager(grad):
        return _traced(grad, key_tensor(Key(*words), grad), call)
    if _recorded():
        return _dropped(grad, words, call, linear=True)
    return run(grad, words, call, linear=True)


class _Traced(torch.autograd.Function):
    """The road of graphs: operators all the way."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        x: Tensor,
        key: Tensor,
        law: str,
        rate: float | None,
        threshold: Tensor | None,
        fill: Tensor | None,
        linear: bool,
    ) -> Tensor:
        if linear:
            return torch.ops.dropkit.scale(x, key, law, rate, threshold)  # type: ignore[no-any-return]  # untyped
        return torch.ops.dropkit.drop(x, key, law, rate, threshold, fill)  # type: ignore[no-any-return]  # untyped

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, key, ctx.law, ctx.rate, threshold, _, _ = inputs
        ctx.save_for_backward(key, threshold)
        ctx.save_for_forward(key, threshold)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        key, threshold = ctx.saved_tensors
        through = _traced(grad, key, Call(ctx.law, ctx.rate, threshold))
        return through, None, None, None, None, grad - through if ctx.needs_input_grad[5] else None, None


class _Transformed(_Traced):
    """The road of function transforms, other devices and fakes. Dynamo refuses a `jvp`, hence the pair."""

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, *others: Any) -> Tensor:
        key, threshold = ctx.saved_tensors
        call, fill = Call(ctx.law, ctx.rate, threshold), others[4]
        parts = [] if x is None else [_traced(x, key, call)]
        parts += [] if fill is None else [fill - _traced(fill, key, call)]
        return sum(parts[1:], parts[0])
