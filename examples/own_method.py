"""Prove a method of your own: one written in NumPy from scratch, and a torch module that knows nothing of us.

Run: python examples/own_method.py
"""

from typing import Any

import numpy as np
import torch

from dropkit import Key
from dropkit.testing import Built, Declared, Report, Shapes, Subject, examine, module_subject

Array = np.ndarray[Any, Any]


def column_dropout(rate: float, step: int = 0) -> Built:
    """A method from scratch: whole columns of a table fall, drawn by NumPy's generator."""
    scale = 1 / (1 - rate) if rate < 1 else 0.0

    def forward(x: Array, key: Key | None, mode: str = "train", window: Any = None) -> Array:
        if mode == "eval":
            return x
        seed = None if key is None else [*key.words]
        kept = np.random.default_rng(seed).random(x.shape[1:]) >= rate
        return np.where(kept, x * scale, np.zeros_like(x))

    return Built(forward, backward=lambda x, grad, key: forward(grad, key))


def says(rate: float, shape: tuple[int, ...]) -> Declared:
    """What it promises: rows share a draw (0), columns have their own (1), kept entries are scaled."""
    return Declared(rate, shape, spans=(0, 1), scale=1 / (1 - rate) if rate < 1 else 0.0)


class DropPath(torch.nn.Module):
    """Stochastic depth as found in many repositories: it forgets to divide by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Drop whole samples in training."""
        if not self.training:
            return x
        kept = torch.rand(len(x), *[1] * (x.ndim - 1)) >= self.rate
        return torch.where(kept, x, 0.0)


def main() -> None:
    """Examine both and print what was found."""
    shapes = Shapes(base=(2, 512), long=((2, 66),))
    mine = Subject("columns", column_dropout, says, shapes, windows=False, schedules=False)
    print(examine(mine))
    show_failures(examine(module_subject(DropPath, "DropPath from a repository", "b ... -> b")))


def show_failures(report: Report) -> None:
    """Print what a method breaks."""
    print(f"\n{report.subject} breaks:")
    print(*report.failed, sep="\n")


if __name__ == "__main__":
    main()
