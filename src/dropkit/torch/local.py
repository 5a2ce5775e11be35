"""Outputs of a linear layer sampled by themselves: one normal draw an output in the place of one a weight."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Unpack

import torch

from dropkit.core import local
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.run import widen

__all__ = ["carried", "sample", "variance"]

Tensor = torch.Tensor


def variance(x: Tensor, weight: Tensor, alpha: Any) -> Tensor:
    """Return the variance of each output in float32 at least, also under autocast; see `core.local`."""
    # Squares leave the range of float16 at 256.
    with _precise(x):
        spread: Tensor = local.variance(widen(x), widen(weight), alpha)
    return spread


def carried(variance: Tensor, weight: Tensor) -> Tensor:
    """Return the variance of each output for these of the inputs, in float32 at least; see `core.local`."""
    with _precise(variance):
        spread: Tensor = local.carried(widen(variance), widen(weight))
    return spread


def _precise(x: Tensor) -> Any:
    """Leave autocast, which knows no meta tensors."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def sample(mean: Tensor, variance: Tensor, **source: Unpack[Source]) -> Tensor:
    """Return normal outputs of this mean and variance, differentiable in both, in the type of the mean.

    >>> sample(torch.ones(2), torch.zeros(2), key=1)
    tensor([1., 1.])
    """
    z = draws.normal(mean, **source).to(variance.dtype)
    drawn: Tensor = widen(mean) + local.deviation(variance) * z
    return drawn.to(mean.dtype)
