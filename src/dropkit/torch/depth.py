"""What methods that skip layers share: the decision, and parameters that take part although they do not run.

Parallel training waits for a gradient of every parameter: one that does not come stops or breaks it. So a
layer that is skipped gives gradients of 0, the same in every process, whichever layers each of them skips.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.torch import draws
from dropkit.torch.functional import Source

__all__ = ["skips", "with_zero_gradients"]

Tensor = torch.Tensor


def skips(rates: Iterable[float], **source: Unpack[Source]) -> tuple[bool, ...]:
    """Return which layers a pass skips: layer l with probability rates[l].

    The decision is drawn on the CPU, whose generator checkpointing keeps too: asking a GPU would stop it.

    >>> skips([0.0, 1.0, 0.5], key=1)
    (False, True, False)
    """
    rates = torch.tensor(tuple(rates), dtype=torch.float64)
    if not len(rates):
        return ()
    return tuple(draws.numbers(draws.below(torch.empty(len(rates)), rates, **source)))


def with_zero_gradients(x: Tensor, modules: Iterable[nn.Module]) -> Tensor:
    """Return x, from which every parameter of these modules gets a gradient of 0 in backward.

    Args:
        x: a floating tensor; returned as it is where no parameter wants a gradient.
        modules: modules that did not run.

    >>> layer = nn.Linear(2, 2)
    >>> with_zero_gradients(torch.ones(3), [layer]).sum().backward()
    >>> layer.bias.grad
    tensor([0., 0.])
    """
    wanted = [p for module in modules for p in module.parameters() if p.requires_grad]
    if not wanted or not torch.is_grad_enabled():
        return x
    if torch._C._are_functorch_transforms_active():
        # Entries of none of them: operations that every transform knows.
        return x + sum(p.flatten()[:0].sum().to(x) for p in wanted)
    zero: Tensor = _Nothing.apply(x.new_zeros(()), *wanted)  # type: ignore[no-untyped-call]  # apply is untyped
    return x + zero


class _Nothing(torch.autograd.Function):
    """A zero that depends on parameters without reading them: not even NaN comes through."""

    @staticmethod
    def forward(ctx: Any, zero: Tensor, *parameters: Tensor) -> Tensor:
        ctx.parameters = parameters
        return zero.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, *(torch.zeros_like(parameter) for parameter in ctx.parameters)
