"""Attention with dropout, against PyTorch's own call without dropout and with it.

    python -m benchmarks attention

A figure is the time of the peer divided by the time of dropkit with dropout, the median of turns within one
run: above 1 dropkit is faster.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.cell import Case
from benchmarks.turns import Work, ratios
from dropkit.torch import scaled_dot_product_attention

RATE = 0.1
SHAPES = [(16, 4, 128, 64), (8, 8, 512, 64), (4, 8, 1024, 64), (2, 8, 2048, 64), (1, 8, 4096, 64)]
Tensor = torch.Tensor
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def forward(shape: tuple[int, ...], rate: float, turns: int = 5) -> dict[str, float]:
    """Compare fresh outputs."""
    q, k, v = (torch.randn(shape) for _ in range(3))
    peers: dict[str, Work] = {name: functools.partial(f, q, k, v) for name, f in _peers(rate).items()}
    return ratios(lambda: scaled_dot_product_attention(q, k, v, dropout_p=rate), peers, turns)


def training(shape: tuple[int, ...], rate: float, turns: int = 5) -> dict[str, float]:
    """Compare forward and backward together."""
    q, k, v = (torch.randn(shape, requires_grad=True) for _ in range(3))
    gradient = torch.randn(shape)

    def step(function: Attend) -> Work:
        return lambda: torch.autograd.grad(function(q, k, v), (q, k, v), gradient)

    peers = {name: step(function) for name, function in _peers(rate).items()}
    return ratios(step(lambda q, k, v: scaled_dot_product_attention(q, k, v, dropout_p=rate)), peers, turns)


def _peers(rate: float) -> dict[str, Attend]:
    return {
        "without dropout": F.scaled_dot_product_attention,
        "with dropout": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=rate),
    }


TASKS = {"forward": forward, "forward + backward": training}


def cases() -> list[Case]:
    """Return every line."""
    return [
        Case(task, "x".join(map(str, shape)), functools.partial(measure, shape, RATE))
        for task, measure in TASKS.items()
        for shape in SHAPES
    ]
