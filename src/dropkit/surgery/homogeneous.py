"""What a factor c > 0 goes through unchanged: modules and functions with f(c x) = c f(x) in every mode."""

from __future__ import annotations

import operator

import torch
import torch.nn.functional as F
from torch import fx, nn

from dropkit.core.noise import Alpha
from dropkit.torch.layer import Layer
from dropkit.torch.layers import Zoneout

__all__ = ["LINEAR", "overwrites", "passes", "reads_shape", "takes"]

LINEAR = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
# f(c x) = c f(x) for every c > 0, in training and in eval.
_HOMOGENEOUS = (
    nn.Identity,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.Flatten,
    nn.Unflatten,
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.MaxPool3d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.AdaptiveMaxPool3d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AvgPool3d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveAvgPool3d,
)
_FUNCTIONS = frozenset(
    {
        operator.getitem,
        torch.flatten,
        torch.mean,
        torch.permute,
        torch.relu,
        torch.reshape,
        torch.squeeze,
        torch.sum,
        torch.transpose,
        torch.unsqueeze,
        F.adaptive_avg_pool1d,
        F.adaptive_avg_pool2d,
        F.adaptive_avg_pool3d,
        F.avg_pool1d,
        F.avg_pool2d,
        F.avg_pool3d,
        F.dropout,
        F.dropout1d,
        F.dropout2d,
        F.dropout3d,
        F.leaky_relu,
        F.max_pool1d,
        F.max_pool2d,
        F.max_pool3d,
        F.relu,
    }
)
_METHODS = frozenset(
    {
        "contiguous",
        "flatten",
        "mean",
        "permute",
        "relu",
        "reshape",
        "squeeze",
        "sum",
        "transpose",
        "unflatten",
        "unsqueeze",
        "view",
    }
)
# These read the shape, which no factor changes.
_SHAPE_METHODS = frozenset({"dim", "ndimension", "numel", "size"})
_SHAPE_ATTRIBUTES = frozenset({"device", "dtype", "ndim", "shape"})


def passes(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a call lets a factor on its first argument through."""
    if node.op == "call_function":
        return node.target in _FUNCTIONS
    if node.op == "call_method":
        # x.view(dtype) reads the bits anew.
        return node.target in _METHODS and not any(
            isinstance(argument, torch.dtype) for argument in node.args
        )
    if isinstance(module, Layer):
        return not isinstance(module, Zoneout) and not isinstance(module.description.noise, Alpha)
    return type(module) in _HOMOGENEOUS


def takes(node: fx.Node, source: fx.Node) -> bool:
    """Whether a call has a tensor as its first argument and nowhere else."""
    others: list[fx.Node] = []
    fx.node.map_arg((node.args[1:], node.kwargs), others.append)
    return bool(node.args) and node.args[0] is source and source not in others


def reads_shape(node: fx.Node) -> bool:
    """Whether a call asks for what no factor changes."""
    if node.op == "call_method":
        return node.target in _SHAPE_METHODS
    return node.target is getattr and node.args[1] in _SHAPE_ATTRIBUTES


def overwrites(node: fx.Node, module: nn.Module | None) -> bool:
    """Whether a call that passes a factor works in place."""
    return bool(node.kwargs.get("inplace") or vars(module or node.graph).get("inplace"))
