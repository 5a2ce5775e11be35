"""Dropout forward, in place, and forward with backward, against others' dropout, a clone, a copy and ReLU.

    python -m benchmarks elementwise

A figure is the time of a peer divided by the time of dropkit: above 1 dropkit is faster. A copy into memory
that is there is the physical limit of what works in place, a clone that of what makes a new tensor.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F

from benchmarks.cell import Case
from benchmarks.peers import PEERS, Peer, step
from benchmarks.turns import Work, ratios
from dropkit.torch import functional

__all__ = ["TASKS", "cases"]

RATE = 0.5
SIZES = [64, 256, 512, 1024, 4096, 65_536, 1_048_576, 16_777_216, 67_108_864]
TYPES = {
    torch.bfloat16: [65_536, 1_048_576, 16_777_216],
    torch.float16: [1_048_576],
    torch.float64: [1_048_576],
}


def forward(size: int, dtype: torch.dtype = torch.float32, rate: float = RATE) -> dict[str, float]:
    """Compare fresh outputs."""
    x = torch.randn(size).to(dtype)
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(x, rate),
        **{name: peer.forward for name, peer in _others(size, dtype, rate).items()},
        "clone": x.clone,
        "F.relu": lambda: F.relu(x),
    }
    return ratios(lambda: functional.dropout(x, rate), peers)


def in_place(size: int, dtype: torch.dtype = torch.float32, rate: float = RATE) -> dict[str, float]:
    """Compare results written over the input."""
    x = torch.randn(size).to(dtype)
    y = torch.empty_like(x)
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(y, rate, inplace=True),
        "copy_": lambda: y.copy_(x),
        "F.relu": lambda: F.relu_(y),
    }
    return ratios(lambda: functional.dropout(x, rate, inplace=True), peers)


def training(size: int, dtype: torch.dtype = torch.float32, rate: float = RATE) -> dict[str, float]:
    """Compare forward and backward together."""
    x = torch.randn(size).to(dtype).requires_grad_()
    gradient = torch.ones_like(x)
    peers = {
        "F.dropout": step(lambda x: F.dropout(x, rate), x, gradient),
        **{name: peer.training for name, peer in _others(size, dtype, rate).items()},
        "F.relu": step(F.relu, x, gradient),
    }
    return ratios(step(lambda x: functional.dropout(x, rate), x, gradient), peers)


def _others(size: int, dtype: torch.dtype, rate: float) -> dict[str, Peer]:
    return {name: make(size, rate, dtype) for name, make in PEERS.items()}


TASKS = {"forward": forward, "in place": in_place, "forward + backward": training}


def cases() -> list[Case]:
    """Return every line."""
    sizes = {torch.float32: SIZES, **TYPES}
    return [
        Case(task, f"{size:,} {str(dtype).removeprefix('torch.')}", functools.partial(measure, size, dtype))
        for task, measure in TASKS.items()
        for dtype in sizes
        for size in sizes[dtype]
    ]
