"""Dropout on a CUDA card, against PyTorch's own, a copy and ReLU; ratios of times within one run.

    python -m benchmarks.gpu [--into FOLDER]

A figure is the time of a peer divided by the time of dropkit: above 1 dropkit is faster. Work is queued, and
the card's own clock times it, so that what Python costs is hidden as in training, unless it is longer.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from dropkit.torch import functional

Tensor = torch.Tensor
Work = Callable[[], object]
SIZES = [65_536, 1_048_576, 16_777_216, 268_435_456]
TYPES = [torch.float32, torch.bfloat16]
RATE = 0.1


def seconds(work: Work, repeats: int) -> float:
    """Return the time of one call by the card's clock."""
    event: Any = torch.cuda.Event
    start, end = (event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        work()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / repeats / 1000


def ratios(ours: Work, peers: dict[str, Work], turns: int = 7) -> dict[str, float]:
    """Return how many times as long as `ours` each peer takes: the median over turns."""
    works = {"": ours, **peers}
    for work in works.values():
        seconds(work, 3)
    repeats = {name: max(3, min(500, int(0.02 / seconds(work, 3)))) for name, work in works.items()}
    measured = [{name: seconds(work, repeats[name]) for name, work in works.items()} for _ in range(turns)]
    return {name: statistics.median(turn[name] / turn[""] for turn in measured) for name in peers}


def forward(x: Tensor) -> dict[str, float]:
    """Compare fresh outputs."""
    compiled = torch.compile(lambda x: F.dropout(x, RATE), dynamic=False)
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(x, RATE),
        "torch.compile": lambda: compiled(x),
        "clone": x.clone,
        "F.relu": lambda: F.relu(x),
    }
    return ratios(lambda: functional.dropout(x, RATE), peers)


def in_place(x: Tensor) -> dict[str, float]:
    """Compare results written over the input."""
    y = x.clone()
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(y, RATE, inplace=True),
        "copy_": lambda: y.copy_(x),
        "F.relu": lambda: F.relu_(y),
    }
    return ratios(lambda: functional.dropout(x, RATE, inplace=True), peers)


def channels(x: Tensor) -> dict[str, float]:
    """Compare one coin a channel of 64 entries."""
    maps = x.view(-1, 64, 8, 8)
    peers: dict[str, Work] = {"F.dropout2d": lambda: F.dropout2d(maps, RATE), "clone": maps.clone}
    return ratios(lambda: functional.dropout2d(maps, RATE), peers)


def gaussian(x: Tensor) -> dict[str, float]:
    """Compare Gaussian noise."""
    deviation = (RATE / (1 - RATE)) ** 0.5
    peers: dict[str, Work] = {
        "x * (1 + s randn)": lambda: x * (1 + deviation * torch.randn_like(x)),
        "clone": x.clone,
    }
    drop = functional.drop
    from dropkit import Drop

    description = Drop(RATE, noise="gaussian")
    return ratios(lambda: drop(x, description), peers)


def training(x: Tensor) -> dict[str, float]:
    """Compare forward and backward together."""
    leaf, gradient = x.clone().requires_grad_(), torch.ones_like(x)
    compiled = torch.compile(lambda x: F.dropout(x, RATE), dynamic=False)

    def step(function: Callable[[Tensor], Tensor]) -> Work:
        return lambda: torch.autograd.grad(function(leaf), leaf, gradient)

    peers = {
        "F.dropout": step(lambda x: F.dropout(x, RATE)),
        "torch.compile": step(compiled),
        "F.relu": step(F.relu),
    }
    return ratios(step(lambda x: functional.dropout(x, RATE)), peers)


TASKS = {
    "forward": forward,
    "in place": in_place,
    "forward + backward": training,
    "channels, forward": channels,
    "Gaussian, forward": gaussian,
}


def main() -> None:
    """Print the table, and write it where `--into` says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    lines = [f"{torch.cuda.get_device_name()}, torch {torch.__version__}, rate {RATE}"]
    for task, measure in TASKS.items():
        for dtype in TYPES:
            for size in SIZES:
                found = measure(torch.randn(size, device="cuda").to(dtype))
                cells = "  ".join(f"{name} {ratio:6.2f}" for name, ratio in found.items())
                lines.append(f"{task:<20}{size:>12} {str(dtype).removeprefix('torch.'):<9} {cells}")
                print(lines[-1], flush=True)
    if options.into:
        (options.into / "gpu.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
