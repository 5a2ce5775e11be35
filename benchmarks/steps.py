"""Whole training steps with every dropout in the network, against the same step without any.

    python -m benchmarks steps

A figure is the time of a step (forward, backward, SGD) divided by that of the step without dropout, the
median of turns within one run: `PyTorch` has its own dropout layers, `dropkit` ours after `use_dropkit`, and
`fused` the fused layers where the network has room for them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.cell import Case
from benchmarks.turns import Work, ratios
from dropkit.surgery import use_dropkit
from dropkit.torch import Dropout, LinearActDropout

Tensor = torch.Tensor
Make = Callable[[float], nn.Module]


class Rows(nn.Module):
    """The last step of a recurrent network, as logits."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(128, 256, 2, batch_first=True, dropout=rate)
        self.drop, self.out = nn.Dropout(rate), nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Any:
        """Return the logits."""
        return self.out(self.drop(self.lstm(x)[0][:, -1]))


def mlp(rate: float) -> nn.Module:
    """784-1024-1024-10: inputs dropped at 0.2, hidden units at the rate."""
    hidden = [
        layer
        for size in (784, 1024)
        for layer in (nn.Linear(size, 1024), nn.ReLU(), *([nn.Dropout(rate)] if rate else []))
    ]
    return nn.Sequential(*([nn.Dropout(0.2)] if rate else []), *hidden, nn.Linear(1024, 10))


def fused_mlp(rate: float) -> nn.Module:
    """The same, its hidden layers fused."""
    hidden = [LinearActDropout(size, 1024, rate, "relu") for size in (784, 1024)]
    return nn.Sequential(Dropout(0.2), *hidden, nn.Linear(1024, 10))


def convnet(rate: float) -> nn.Module:
    """Two convolutions, each followed by dropout of whole channels, and two linear layers."""
    drop, flat = ([nn.Dropout2d(rate)], [nn.Dropout(0.5)]) if rate else ([], [])
    return nn.Sequential(
        *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *drop),
        *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *drop),
        *(nn.Flatten(), nn.Linear(4096, 256), nn.ReLU(), *flat, nn.Linear(256, 10)),
    )


def transformer(rate: float) -> nn.Module:
    """A layer with 4 dropouts, attention's included."""
    return nn.TransformerEncoderLayer(256, 4, 1024, rate, batch_first=True)


def unfused(make: Make, rate: float) -> nn.Module:
    """The network with our dropouts, one by one."""
    model = make(rate)
    if isinstance(model, nn.TransformerEncoderLayer):
        model.register_forward_pre_hook(lambda *_: None)  # a layer with a hook keeps its class
    return use_dropkit(model).model


TASKS: dict[str, tuple[Make, float, tuple[int, ...], Make | None]] = {
    "MLP 784-1024-1024-10, 128 rows": (mlp, 0.5, (128, 784), fused_mlp),
    "convnet, 64 images of 32 x 32": (convnet, 0.1, (64, 3, 32, 32), None),
    "transformer layer 256, 16 x 128 tokens": (
        transformer,
        0.1,
        (16, 128, 256),
        lambda rate: use_dropkit(transformer(rate)).model,
    ),
    "LSTM 128-256-256, 32 x 50": (Rows, 0.3, (32, 50, 128), None),
}


def measure(task: str, turns: int = 9) -> dict[str, float]:
    """Compare the steps of one network."""
    make, rate, shape, fused = TASKS[task]
    models = {"PyTorch": make(rate), "dropkit": unfused(make, rate)}
    if fused is not None:
        models["fused"] = fused(rate)
    x = torch.randn(shape)
    return ratios(_step(make(0.0), x), {name: _step(model, x) for name, model in models.items()}, turns)


def _step(model: nn.Module, x: Tensor) -> Work:
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    labels = torch.randint(0, 10, x.shape[:1])

    def step() -> None:
        optimizer.zero_grad()
        y = model(x)
        torch.autograd.backward(F.cross_entropy(y if y.ndim == 2 else y[:, 0], labels))
        optimizer.step()

    return step


def cases() -> list[Case]:
    """Return every line."""
    return [Case("training step", task, functools.partial(measure, task)) for task in TASKS]
