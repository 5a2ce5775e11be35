"""Attention with dropout, against PyTorch's own call without dropout and with it.

    python -m benchmarks.attention [--threads 1 2] [--rate 0.1]

Every cell is the time of the peer divided by the time of dropkit with dropout, the median of turns within one
run: above 1 dropkit is faster.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmarks.turns import Work, ratios
from dropkit.torch import scaled_dot_product_attention

SHAPES = [(2, 8, 2048, 64), (8, 8, 512, 64), (16, 4, 128, 64)]
Tensor = torch.Tensor
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def forward(shape: tuple[int, ...], rate: float, turns: int = 5) -> dict[str, float]:
    """Compare fresh outputs."""
    q, k, v = (torch.randn(shape) for _ in range(3))
    peers: dict[str, Work] = {name: lambda f=f: f(q, k, v) for name, f in _peers(rate).items()}  # type: ignore[misc]  # a default binds it
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


def row(task: str, shape: tuple[int, ...], rate: float) -> str:
    """Measure one task at one shape and write it as a line."""
    cells = "  ".join(f"{name} {ratio:6.2f}" for name, ratio in TASKS[task](shape, rate).items())
    return f"{task:<20}{shape!s:>20}  {cells}"


def main() -> None:
    """Print a table for each number of threads."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rate", type=float, default=0.1)
    options = parser.parse_args()
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"attention, rate {options.rate}, threads {threads}: time of PyTorch / of dropkit with dropout")
        for task in TASKS:
            for shape in SHAPES:
                print(row(task, shape, options.rate), flush=True)


if __name__ == "__main__":
    main()
