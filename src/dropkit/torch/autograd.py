"""Gradients: backward applies the forward's factor under the forward's key, so no mask is kept."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.rate import ONE
from dropkit.torch.op import AnyKey, Call, key_tensor, perform, plain

__all__ = ["dropped"]

Tensor = torch.Tensor


def dropped(
    x: Tensor,
    key: AnyKey,
    call: Call,
    fill: Tensor | None = None,
    inplace: bool = False,
    linear: bool = False,
) -> Tensor:
    """Return m x + b (m x alone where `linear`) under a key, with its gradient: m for x, 1 - m for `fill`."""
    if not plain(x):
        road = _Traced if torch.compiler.is_compiling() else _Transformed
        y: Tensor = road.apply(x, key_tensor(key, x), *call, fill, linear)  # type: ignore[no-untyped-call]
        return x.copy_(y) if inplace else y
    if call.threshold is not None:
        # The schedule may take its step before backward comes: what counts is the rate of now.
        call = Call(call.law, call.threshold.item() / ONE)
    if torch.is_grad_enabled() and (x.requires_grad or (fill is not None and fill.requires_grad)):
        return _Dropped.apply(x, key, call, fill, inplace, linear)  # type: ignore[no-any-return,no-untyped-call]
    return perform(x, key, call, fill=fill, linear=linear, inplace=inplace)


class _Dropped(torch.autograd.Function):
    """The road of plain tensors, which a `setup_context` of its own would cost 70 microseconds a call."""

    @staticmethod
    def forward(  # type: ignore[override]  # the base class takes anything
        ctx: Any, x: Tensor, key: AnyKey, call: Call, fill: Tensor | None, inplace: bool, linear: bool
    ) -> Tensor:
        ctx.key, ctx.call, ctx.inplace = key, call, inplace
        if inplace:
            ctx.mark_dirty(x)
        return perform(x, key, call, fill=fill, linear=linear, inplace=inplace)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        through = dropped(grad, ctx.key, ctx.call, linear=True)
        return through, None, None, grad - through if ctx.needs_input_grad[3] else None, None, None

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, *others: Any) -> Tensor:  # type: ignore[override]
        tangent = _tangent(x, others[2], ctx.key, ctx.call)
        return x.copy_(tangent) if ctx.inplace and x is not None else tangent


class _Traced(torch.autograd.Function):
    """The road of graphs: operators all the way."""

    generate_vmap_rule = True

    @staticmethod
    def forward(  # type: ignore[override]  # the base class takes anything
        x: Tensor,
        key: Tensor,
        law: str,
        rate: float | None,
        threshold: Tensor | None,
        fill: Tensor | None,
        linear: bool,
    ) -> Tensor:
        return perform(x, key, Call(law, rate, threshold), fill=fill, linear=linear)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, key, ctx.law, ctx.rate, threshold, _, _ = inputs
        ctx.save_for_backward(key, threshold)
        ctx.save_for_forward(key, threshold)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        key, threshold = ctx.saved_tensors
        through = dropped(grad, key, Call(ctx.law, ctx.rate, threshold), linear=True)
        return through, None, None, None, None, grad - through if ctx.needs_input_grad[5] else None, None


class _Transformed(_Traced):
    """The road of function transforms, other devices and fake tensors. Dynamo refuses a class with a `jvp`."""

    @staticmethod
    def jvp(ctx: Any, x: Tensor | None, *others: Any) -> Tensor:  # type: ignore[override]
        key, threshold = ctx.saved_tensors
        return _tangent(x, others[4], key, Call(ctx.law, ctx.rate, threshold))


def _tangent(x: Tensor | None, fill: Tensor | None, key: AnyKey, call: Call) -> Tensor:
    parts = [] if x is None else [dropped(x, key, call, linear=True)]
    if fill is not None:
        parts.append(fill - dropped(fill, key, call, linear=True))
    return sum(parts[1:], parts[0])
