"""Steps that leave out what is dropped, against the same step without dropout and with dropout that masks.

    python -m benchmarks skip

A figure is the time of dropkit's step divided by that of the step without dropout, the median of turns
within one run: at a rate of one half the products alone would take 0.5.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.cell import Case
from benchmarks.turns import Work, ratios
from dropkit.torch import Drop, SkipBranch, ThinLSTM, Thinned

RATES = [0.1, 0.25, 0.5, 0.75]


def feed_forward(rate: float, turns: int = 5, batch: int = 512, width: int = 1024) -> dict[str, float]:
    """A block width - 4 width - width, forward and backward; the floor is a block of the kept size."""
    first, second = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    x = torch.randn(batch, width, requires_grad=True)
    plain = nn.Sequential(first, nn.ReLU(), second)
    masked = nn.Sequential(first, nn.ReLU(), Drop(rate, "b d -> d"), second)
    thin = Thinned(first, second, rate, nn.ReLU())
    sliced = Thinned(first, second, rate, nn.ReLU(), contiguous=True)
    left = round(4 * width * (1 - rate))
    smaller = nn.Sequential(nn.Linear(width, left), nn.ReLU(), nn.Linear(left, width))
    others = {"masked": masked, "thinned": thin, "sliced": sliced, "smaller": smaller}
    return _against(plain, others, x, turns)


def branch(rate: float, turns: int = 5, batch: int = 512, width: int = 512) -> dict[str, float]:
    """A residual branch of two layers, forward and backward."""
    made = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
    x = torch.randn(batch, width, requires_grad=True)
    return _against(SkipBranch(made, 0.0), {"skipped": SkipBranch(made, rate)}, x, turns)


def lstm(rate: float, turns: int = 5, batch: int = 32, steps: int = 50, width: int = 256) -> dict[str, float]:
    """Two layers of an LSTM, forward and backward; torch's own drops between the layers alone."""
    plain, thin = nn.LSTM(width, width, 2), ThinLSTM(width, width, 2, p=rate)
    masked = nn.LSTM(width, width, 2, dropout=rate)
    x = torch.randn(steps, batch, width, requires_grad=True)
    others: dict[str, nn.Module] = {"masked": _First(masked), "thinned": _First(thin)}
    return _against(_First(plain), others, x, turns)


class _First(nn.Module):
    """The outputs of a recurrent layer, without its states."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return them."""
        out: torch.Tensor = self.layer(x)[0]
        return out


def _against(plain: nn.Module, others: dict[str, nn.Module], x: torch.Tensor, turns: int) -> dict[str, float]:
    def step(model: nn.Module) -> Work:
        wanted = [x, *model.parameters()]
        # Of a branch that no sample keeps nothing has a gradient.
        return lambda: torch.autograd.grad(model(x).sum(), wanted, allow_unused=True)

    return ratios(step(plain), {name: step(model) for name, model in others.items()}, turns)


TASKS: dict[str, Callable[[float], dict[str, float]]] = {
    "feed-forward": feed_forward,
    "branch": branch,
    "LSTM": lstm,
}


def cases() -> list[Case]:
    """Return every line."""
    return [
        Case(task, f"rate {rate}", functools.partial(measure, rate))
        for task, measure in TASKS.items()
        for rate in RATES
    ]
