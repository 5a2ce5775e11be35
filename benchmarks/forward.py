"""Dropout forward, and forward with backward, against PyTorch's own, a clone, a copy and ReLU.

    python -m benchmarks.forward [--threads 1 2] [--sizes 64 ... 16777216] [--rate 0.5]

Seconds drift, so every cell is a ratio: the time of a peer divided by the time of dropkit, measured in turns
within one run, and the median of the turns. Above 1 means that dropkit is faster. A copy into memory that is
there is the physical limit of anything that works in place, a clone that of anything that makes a new tensor.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.turns import Work, ratios
from dropkit.torch import functional

SIZES = [64, 1024, 65_536, 1_048_576, 16_777_216]


def forward(size: int, rate: float) -> dict[str, float]:
    """Compare fresh outputs."""
    x = torch.randn(size)
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(x, rate),
        "clone": x.clone,
        "F.relu": lambda: F.relu(x),
    }
    return ratios(lambda: functional.dropout(x, rate), peers)


def in_place(size: int, rate: float) -> dict[str, float]:
    """Compare results written over the input."""
    x, y = torch.randn(size), torch.empty(size)
    peers: dict[str, Work] = {
        "F.dropout": lambda: F.dropout(y, rate, inplace=True),
        "copy_": lambda: y.copy_(x),
    }
    return ratios(lambda: functional.dropout(x, rate, inplace=True), peers)


def training(size: int, rate: float) -> dict[str, float]:
    """Compare forward and backward together."""
    x = torch.randn(size, requires_grad=True)
    gradient = torch.randn(size)

    def step(function: Callable[[torch.Tensor], torch.Tensor]) -> Work:
        return lambda: torch.autograd.grad(function(x), x, gradient)

    peers = {"F.dropout": step(lambda x: F.dropout(x, rate)), "F.relu": step(F.relu)}
    return ratios(step(lambda x: functional.dropout(x, rate)), peers)


TASKS = {"forward": forward, "in place": in_place, "forward + backward": training}


def row(task: str, size: int, rate: float) -> str:
    """Measure one task at one size and write it as a line."""
    cells = "  ".join(f"{name} {ratio:7.2f}" for name, ratio in TASKS[task](size, rate).items())
    return f"{task:<20}{size:>10}  {cells}"


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--rate", type=float, default=0.5)
    options = parser.parse_args()
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"float32, rate {options.rate}, threads {threads}: time of the peer / time of dropkit")
        for task in TASKS:
            for size in options.sizes:
                print(row(task, size, options.rate), flush=True)


if __name__ == "__main__":
    main()
