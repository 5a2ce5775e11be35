"""One run: one arm on one pair, trained for the planned epochs and scored once on the test part."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dropkit.experiments.dataset import REGRESSION, Dataset, Parts, Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.sites import with_arm
from dropkit.experiments.split import pair_seeds
from dropkit.experiments.user_file import reason
from dropkit.report.record import Arm, Plan, Point, Run, Scores

__all__ = ["Task", "train"]

CURVE_POINTS = 20
_CHUNK = 2048


@dataclass(frozen=True)
class Task:
    """All that one run needs, so that any process can do it."""

    plan: Plan
    arm: Arm
    pair: int
    data: Dataset
    split: Split
    source: ModelSource


@dataclass(frozen=True)
class _Tensors:
    """A part as tensors; a regression's target is standardised by the training part, and `unit` undoes it.

    `weight` of each class is for the loss alone: scores count every row alike.
    """

    x: Tensor
    y: Tensor
    unit: float
    weight: Tensor | None = None


class DivergedError(ArithmeticError):
    """The training loss became NaN or infinite."""


def train(task: Task) -> Run:
    """Train one network; a failure of this run is recorded, not raised."""
    began = time.perf_counter()
    with _one_thread():
        try:
            scores = _train(task)
        except (Exception, SystemExit) as error:
            return Run(task.plan.fingerprint, task.arm.name, task.pair, _since(began), failure=reason(error))
    return Run(task.plan.fingerprint, task.arm.name, task.pair, _since(began), **scores)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


@contextmanager
def _one_thread() -> Iterator[None]:
    # One thread a run: sums come out in the same order for any number of workers.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def _train(task: Task) -> dict[str, Any]:
    plan = task.plan
    train_part, select_part, test_part = _tensors(task.data.parts(task.split), plan.task)
    if plan.class_weight == "balanced":
        train_part = replace(train_part, weight=_balanced(train_part.y, plan.n_outputs))
    _, init_seed, order_seed, noise_seed = pair_seeds(plan.seed, task.pair)
    torch.manual_seed(init_seed)
    model = with_arm(task.source.build(plan.input_shape, plan.n_outputs), task.arm, plan.sites)
    torch.manual_seed(noise_seed)
    curve = _fit(model, task, train_part, select_part, torch.Generator().manual_seed(order_seed))
    variance = _residual_variance(model, select_part, plan.task)
    select, test = (_score(model, part, plan.task, variance) for part in (select_part, test_part))
    return {"select": select, "test": test, "curve": tuple(curve)}


def _fit(
    model: nn.Module, task: Task, part: _Tensors, select: _Tensors, order: torch.Generator
) -> list[Point]:
    plan = task.plan
    decay = task.arm.weight_decay
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.learning_rate, weight_decay=decay, fused=True)
    drawn = _curve_epochs(plan.epochs)
    curve = []
    for epoch in range(1, plan.epochs + 1):
        _one_epoch(model, optimizer, part, plan, order)
        if epoch in drawn:
            variance = _residual_variance(model, part, plan.task)
            train, chosen = (_score(model, each, plan.task, variance) for each in (part, select))
            curve.append(Point(epoch, train, chosen))
    return curve


def _curve_epochs(epochs: int) -> set[int]:
    return {math.ceil(epochs * k / CURVE_POINTS) for k in range(1, CURVE_POINTS + 1)} | {1}


def _one_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, part: _Tensors, plan: Plan, order: torch.Generator
) -> None:
    model.train()
    rows = torch.randperm(len(part.y), generator=order)
    # Parts of nearly equal size: a last batch of one row would break batch normalisation.
    for batch in torch.tensor_split(rows, math.ceil(len(rows) / plan.batch)):
        optimizer.zero_grad()
        loss = _loss(model(part.x[batch]), part.y[batch], plan.task, part.weight)
        torch.autograd.backward(loss)
        optimizer.step()
    if not math.isfinite(loss.item()):
        raise DivergedError(f"the training loss became {loss.item()}")


def _loss(outputs: Tensor, y: Tensor, task: str, weight: Tensor | None) -> Tensor:
    if task == REGRESSION:
        return F.mse_loss(outputs.squeeze(1), y)
    return F.cross_entropy(outputs, y, weight)


def _balanced(y: Tensor, n_outputs: int) -> Tensor:
    """Weights that give every class the same share of the loss: rows / (classes x rows of the class)."""
    counts = torch.bincount(y, minlength=n_outputs).clamp(min=1)
    return len(y) / (n_outputs * counts.float())


def _tensors(parts: Parts, task: str) -> tuple[_Tensors, _Tensors, _Tensors]:
    centre, unit = 0.0, 1.0
    if task == REGRESSION:
        centre, unit = float(parts.y_train.mean()), float(parts.y_train.std()) or 1.0

    def tensors(x: Any, y: Any) -> _Tensors:
        values = ((y - centre) / unit).astype(np.float32) if task == REGRESSION else y
        return _Tensors(torch.from_numpy(x), torch.from_numpy(values), unit)

    return (
        tensors(parts.x_train, parts.y_train),
        tensors(parts.x_select, parts.y_select),
        tensors(parts.x_test, parts.y_test),
    )


@torch.no_grad()
def _outputs(model: nn.Module, part: _Tensors) -> Tensor:
    model.eval()
    return torch.cat([model(chunk) for chunk in torch.split(part.x, _CHUNK)])


def _residual_variance(model: nn.Module, part: _Tensors, task: str) -> float:
    """For regression the variance of the Gaussian likelihood, from the part that is chosen on."""
    return float(F.mse_loss(_outputs(model, part).squeeze(1), part.y)) if task == REGRESSION else 1.0


def _score(model: nn.Module, part: _Tensors, task: str, variance: float) -> Scores:
    outputs = _outputs(model, part).double()
    if task == REGRESSION:
        return _regression_scores(outputs.squeeze(1), part, max(variance, 1e-12))
    error = float((outputs.argmax(1) != part.y).double().mean())
    return _finite(Scores(error, float(F.cross_entropy(outputs, part.y))))


def _regression_scores(outputs: Tensor, part: _Tensors, variance: float) -> Scores:
    mean_square = float(F.mse_loss(outputs, part.y.double()))
    nll = 0.5 * math.log(2 * math.pi * variance) + mean_square / (2 * variance) + math.log(part.unit)
    return _finite(Scores(math.sqrt(mean_square) * part.unit, nll))


def _finite(scores: Scores) -> Scores:
    if not (math.isfinite(scores.error) and math.isfinite(scores.nll)):
        raise DivergedError("a score became NaN or infinite")
    return scores
