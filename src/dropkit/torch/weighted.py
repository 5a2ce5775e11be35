"""A linear layer under other weights than its own: for methods that act on weights as a unit sees them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from dropkit.core.check import DropkitError

__all__ = ["LinearLayer", "check_linear", "weighted"]

Tensor = torch.Tensor
LinearLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def check_linear(layer: Any) -> LinearLayer:
    """Return the layer if it is a linear or a convolution, or raise `DropkitError`."""
    if not isinstance(layer, LinearLayer):
        rule = "is a torch.nn.Linear, Conv1d, Conv2d or Conv3d"
        raise DropkitError("layer", rule, type(layer).__name__, "wrap such a layer itself")
    return layer


def weighted(layer: LinearLayer, input: Tensor, weight: Tensor) -> Tensor:
    """Return what the layer makes of an input under another weight and without its bias.

    >>> weighted(nn.Linear(2, 1), torch.ones(2), torch.tensor([[3.0, 4.0]]))
    tensor([7.])
    """
    if isinstance(layer, nn.Linear):
        return F.linear(input, weight)
    y: Tensor = layer._conv_forward(input, weight, None)
    return y
