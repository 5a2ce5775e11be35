"""Fashion-MNIST with dropout that skips, with ordinary dropout, without: at equal epochs and at equal time.

    python -m benchmarks.skip_accuracy [--seeds 5] [--epochs 12] [--images 10000] [--into docs]

Writes skip_accuracy.json and prints a table. Time is the process's own (CPU seconds of the training loop on
one thread, evaluation left out), so other work on the machine moves it little. Each kind trains at least the
epochs asked for and goes on until it has had the time that the network without dropout took for them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from torch import nn

from dropkit.experiments.dataset import ImageInputs
from dropkit.experiments.images import fashion_mnist
from dropkit.torch import Dropout, Thinned

__all__ = ["KINDS", "Run", "compare", "page", "train"]

Tensor = torch.Tensor
RATE, WIDTH, HIDDEN, BATCH = 0.5, 512, 2048, 256
T_975 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


class Residual(nn.Module):
    """x + block(x)."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Any:
        """Return the sum."""
        return x + self.block(x)


def _plain(first: nn.Linear, second: nn.Linear) -> nn.Module:
    return nn.Sequential(first, nn.ReLU(), second)


def _ordinary(first: nn.Linear, second: nn.Linear) -> nn.Module:
    return nn.Sequential(first, nn.ReLU(), Dropout(RATE), second)


def _thinned(first: nn.Linear, second: nn.Linear) -> nn.Module:
    return Thinned(first, second, RATE, nn.ReLU())


def _sliced(first: nn.Linear, second: nn.Linear) -> nn.Module:
    return Thinned(first, second, RATE, nn.ReLU(), contiguous=True)


KINDS: dict[str, Callable[[nn.Linear, nn.Linear], nn.Module]] = {
    "no dropout": _plain,
    "ordinary dropout": _ordinary,
    "thinned": _thinned,
    "sliced": _sliced,
}


@dataclass(frozen=True)
class Run:
    """One training: accuracy on the test images, in per cent, and seconds so far after each epoch."""

    kind: str
    seed: int
    accuracy: tuple[float, ...]
    seconds: tuple[float, ...]

    def within(self, seconds: float) -> float:
        """Return the accuracy after the last epoch that ended in this time."""
        done = [a for a, s in zip(self.accuracy, self.seconds, strict=True) if s <= seconds]
        return done[-1] if done else math.nan


def network(kind: str, inputs: int = 784, width: int = WIDTH, hidden: int = HIDDEN) -> nn.Module:
    """Return two residual feed-forward blocks between a first and a last layer."""
    blocks = [Residual(KINDS[kind](nn.Linear(width, hidden), nn.Linear(hidden, width))) for _ in range(2)]
    return nn.Sequential(
        nn.Linear(inputs, width), nn.ReLU(), *blocks, nn.LayerNorm(width), nn.Linear(width, 10)
    )


def train(kind: str, seed: int, data: tuple[Tensor, ...], epochs: int, least: float = 0.0) -> Run:
    """Train one network for some epochs, and on until it has had the time `least`."""
    x, y, test_x, test_y = data
    torch.manual_seed(seed)
    model = network(kind, x.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    accuracy, seconds = list[float](), list[float]()
    spent = 0.0
    while len(accuracy) < epochs or spent < least:
        order, start = torch.randperm(len(x)), time.process_time()
        for batch in torch.split(order, BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(x[batch]), y[batch]))
            optimizer.step()
        spent += time.process_time() - start
        model.eval()
        with torch.no_grad():
            right = (model(test_x).argmax(1) == test_y).float().mean()
        model.train()
        accuracy.append(round(100 * float(right), 3))
        seconds.append(round(spent, 3))
    return Run(kind, seed, tuple(accuracy), tuple(seconds))


def compare(seeds: int, epochs: int, images: int) -> list[Run]:
    """Train every kind with every seed, in turns."""
    dataset = fashion_mnist()
    images_of = dataset.inputs
    assert isinstance(images_of, ImageInputs)
    pixels = torch.from_numpy(images_of.pixels).flatten(1).float() / images_of.scale
    labels = torch.from_numpy(dataset.y)
    data = pixels[:images], labels[:images], pixels[60_000:], labels[60_000:]
    runs: list[Run] = []
    for seed in track(range(seeds), "seeds", console=Console(stderr=True)):
        first = train("no dropout", seed, data, epochs)
        others = [train(kind, seed, data, epochs, first.seconds[-1]) for kind in KINDS if kind != first.kind]
        runs += [first, *others]
    return runs


def page(runs: list[Run], epochs: int) -> str:
    """Return two tables: equal epochs, equal time."""
    seeds = sorted({run.seed for run in runs})
    budget = {run.seed: run.seconds[epochs - 1] for run in runs if run.kind == "no dropout"}
    base = {run.seed: run for run in runs if run.kind == "ordinary dropout"}
    heads = [
        "",
        f"accuracy after {epochs} epochs, %",
        f"time of {epochs} epochs",
        "accuracy in the time of the network without dropout, %",
        "beside ordinary dropout, in that time",
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for kind in KINDS:
        mine = {run.seed: run for run in runs if run.kind == kind}
        equal = [mine[s].accuracy[epochs - 1] for s in seeds]
        time_ = [mine[s].seconds[epochs - 1] / budget[s] for s in seeds]
        within = [mine[s].within(budget[s]) for s in seeds]
        beside = [mine[s].within(budget[s]) - base[s].within(budget[s]) for s in seeds]
        told = "" if kind == "ordinary dropout" else _interval(beside, "+.2f")
        lines.append(
            f"| {kind} | {_interval(equal)} | {statistics.median(time_):.2f} | {_interval(within)} | {told} |"
        )
    return "\n".join(lines) + "\n"


def _interval(values: list[float], form: str = ".2f") -> str:
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:{form}}"
    half = T_975.get(len(values), 2.26) * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean:{form}} ± {half:.2f}"


def main() -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skip_accuracy")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--images", type=int, default=10_000, help="to learn from, of 60,000")
    parser.add_argument("--into", type=Path, default=Path("docs"))
    options = parser.parse_args()
    if min(options.seeds, options.epochs) < 1 or not 1 <= options.images <= 60_000:
        parser.error("--seeds and --epochs must be at least 1, --images between 1 and 60000")
    torch.set_num_threads(1)
    runs = compare(options.seeds, options.epochs, options.images)
    told = {"epochs": options.epochs, "images": options.images, "runs": [asdict(run) for run in runs]}
    (options.into / "skip_accuracy.json").write_text(json.dumps(told, indent=1) + "\n")
    print(page(runs, options.epochs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
