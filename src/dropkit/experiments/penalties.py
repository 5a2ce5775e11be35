"""What an arm does to the weights at each update: L1 and L2 pull at them, max-norm bounds them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dropkit.experiments.keras_net import KerasNet, clip_kernels_
from dropkit.experiments.sites import fed
from dropkit.report.plan import Arm
from dropkit.torch import Layer, Stepper, max_norm_

__all__ = ["attach"]


def attach(model: nn.Module, optimizer: Optimizer, arm: Arm) -> None:
    """Let every update of an optimizer follow an arm, whatever step calls it.

    Before it, the gradient of l1 sum |w| + l2 / 2 sum w^2 is added, over weights of rank 2 and more: neither
    biases nor the scales of norm layers. After it, weights are clipped and schedules move on.

    >>> layer = nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(3.0)
    >>> sgd = torch.optim.SGD(layer.parameters(), lr=1.0)
    >>> attach(layer, sgd, Arm("L2", "L2", l2=0.5))
    >>> sgd.step()
    >>> layer.weight.item()
    1.5
    """
    if arm.l1 or arm.l2:
        optimizer.register_step_pre_hook(lambda *_: _pull(model, arm.l1, arm.l2))
    if arm.max_norm:
        optimizer.register_step_post_hook(lambda *_: _clip(model, arm.max_norm))
    if any(isinstance(module, Layer) and module.scheduled for module in model.modules()):
        Stepper(model).follow(optimizer)


@torch.no_grad()
def _pull(model: nn.Module, l1: float, l2: float) -> None:
    for weight in model.parameters():
        if weight.requires_grad and weight.ndim >= 2:
            pull = l1 * weight.sign() + l2 * weight
            weight.grad = pull if weight.grad is None else weight.grad.add_(pull)


def _clip(model: nn.Module, radius: float) -> Any:
    inner = fed(model)[1]
    if isinstance(inner, KerasNet):
        clip_kernels_(inner, radius)
    else:
        max_norm_(model, radius)
