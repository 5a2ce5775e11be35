"""A factor ahead and another one back: what shaking does to a branch."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.torch.run import widen

__all__ = ["two_ways"]

Tensor = torch.Tensor


def two_ways(x: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
    """Return `ahead` x, with the gradient `back` instead of `ahead`; both broadcast to x.

    An entry whose factor is 0 is replaced, not multiplied: NaN does not survive it.

    >>> x = torch.ones(2, requires_grad=True)
    >>> y = two_ways(x, torch.tensor(0.5), torch.tensor(3.0))
    >>> y.sum().backward()
    >>> y.tolist(), x.grad.tolist()
    ([0.5, 0.5], [3.0, 3.0])
    """
    wide = widen(x)
    y: Tensor = _TwoWays.apply(wide, ahead.to(wide.dtype), back.to(wide.dtype))  # type: ignore[no-untyped-call]  # apply is untyped
    return y.to(x.dtype)


def _times(x: Tensor, factor: Tensor) -> Tensor:
    return torch.where(factor == 0, 0.0, x * factor)


class _TwoWays(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
        return _times(x, ahead)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (back,) = ctx.saved_tensors
        return _times(grad, back), None, None
