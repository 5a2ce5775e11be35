"""The networks of one run on their way through the epochs, and the best that they were."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dropkit.experiments.augment import shifted
from dropkit.experiments.dataset import REGRESSION
from dropkit.experiments.losses import balanced, make_step
from dropkit.experiments.models import materialise
from dropkit.experiments.penalties import attach
from dropkit.experiments.randomness import generator, random_state, seed_all, set_random_state
from dropkit.experiments.recipe import Step
from dropkit.experiments.scoring import DivergedError, Target, fitted, outputs_of, score
from dropkit.experiments.sites import with_arm
from dropkit.experiments.task import Seeds, Task, check_epochs, epochs_of, member_seeds, share_of
from dropkit.report.messages import Note
from dropkit.report.plan import Plan
from dropkit.report.record import Point, Scores

__all__ = ["Course", "build", "restore", "snapshot"]

Values = dict[str, Tensor]
_BAGGING, _SHIFTS = 1, 2


@dataclass(frozen=True)
class Part:
    """A part of the data: inputs, the target as networks learn it, and as it is scored."""

    x: Tensor
    y: Tensor
    truth: npt.NDArray[Any]


@dataclass
class Member:
    """One network, what moves it, and the rows it learns from."""

    model: nn.Module
    optimizer: Optimizer
    rows: Tensor
    order: torch.Generator
    shifts: torch.Generator


def build(task: Task, seeds: Seeds, steps: int = 1) -> nn.Module:
    """The network of an arm with the initial weights that all arms of a pair share."""
    plan, arm = task.plan, task.job.arm
    seed_all(seeds.init)
    shape, words = plan.data.input_shape, plan.data.n_words
    model = materialise(task.source.build(shape, plan.data.n_outputs, words), shape, words)
    return with_arm(model, arm, plan.model.sites, steps, words=words > 0)


def snapshot(model: nn.Module) -> Values:
    """Copies of all parameters and buffers, by name."""
    return {name: value.detach().clone() for name, value in _values(model)}


@torch.no_grad()
def restore(model: nn.Module, values: Values) -> None:
    """Put the values of a snapshot into a model of the same making.

    Raises:
        ValueError: it is of another making.
    """
    own = dict(_values(model))
    if {name: value.shape for name, value in own.items()} != {n: v.shape for n, v in values.items()}:
        raise ValueError("these are the weights of another model")
    for name, value in own.items():
        given = values[name]
        value.copy_(given if given.layout is value.layout else given.to_sparse(layout=value.layout))


def _values(model: nn.Module) -> list[tuple[str, Tensor]]:
    # Buffers that a state_dict leaves out are state all the same.
    return [*model.named_parameters(), *model.named_buffers()]


class Course:
    """One run: its networks, how far they are, and the weights that were best on the stop part.

    Everything that epochs change is in `state`, so that a run can pause and go on to the same bits.

    Args:
        task: what is asked for.
    """

    def __init__(self, task: Task) -> None:
        self.task, self.plan, self.arm = task, task.plan, task.job.arm
        first = member_seeds(task.plan, task.job.pair)
        split = share_of(task.split, self.arm.share, first.order)
        self.train, self.stop, self.select, self.target = _parts(task, split)
        self.last = epochs_of(self.plan, self.arm)
        self.checks = check_epochs(self.last, self.plan.training.checks)
        self._metric = task.recipe.piece("metric")
        self._step = _step_of(task, self.train)
        self._members = [self._begin(member) for member in range(self.arm.members)]
        seed_all(first.noise)
        self.epoch = self.steps = self.stale = self.best_epoch = 0
        self.best: list[Values] = []
        self.curve: list[Point] = []

    def _begin(self, number: int) -> Member:
        seeds = member_seeds(self.plan, self.task.job.pair, number)
        rows = torch.arange(len(self.train.y))
        if self.arm.bagging:
            rows = torch.randint(len(rows), (len(rows),), generator=generator(seeds.order, _BAGGING))
        model = build(self.task, seeds, self.last * self._batches)
        rate = self.plan.training.learning_rate
        optimizer = self.task.recipe.make_optimizer(model, self.arm, rate)
        attach(model, optimizer, self.arm)
        order = torch.Generator().manual_seed(seeds.order)
        return Member(model, optimizer, rows, order, generator(seeds.order, _SHIFTS))

    @property
    def _batches(self) -> int:
        return math.ceil(len(self.train.y) / self.plan.training.batch)

    @property
    def ended(self) -> bool:
        """Whether all epochs are done, or too many checks brought no gain."""
        return self.epoch >= self.last or self.stale >= self.plan.training.patience

    @property
    def models(self) -> list[nn.Module]:
        """The networks, as they stand."""
        return [member.model for member in self._members]

    def advance(self) -> bool:
        """Train every network for one epoch; returns whether it was one with a check."""
        for member in self._members:
            self._one_epoch(member)
        self.epoch += 1
        if self.epoch not in self.checks:
            return False
        self._check()
        return True

    def _one_epoch(self, member: Member) -> None:
        member.model.train()
        rows = member.rows[torch.randperm(len(member.rows), generator=member.order)]
        # Parts of nearly equal size: a last batch of one row would break batch normalisation.
        for batch in torch.tensor_split(rows, self._batches):
            x = self.train.x[batch]
            if self.arm.augment:
                x = shifted(x, self.arm.augment, member.shifts)
            loss = self._step(member.model, (x, self.train.y[batch]), member.optimizer)
            self.steps += 1
        value = torch.as_tensor(loss).item()
        if not math.isfinite(value):
            raise DivergedError(Note("failure.loss", {"value": str(value)}))

    def _check(self) -> None:
        outputs = self._outputs(self.stop)
        if self.plan.data.task == REGRESSION:
            self.target = fitted(self.target, outputs, self.stop.truth)
        stop = self._score(outputs, self.stop)
        self.curve.append(Point(self.epoch, self._score(self._outputs(self.train), self.train), stop))
        if not self.best or _rank(self.plan, stop) < _rank(self.plan, self._best_point.stop):
            self.best, self.best_epoch, self.stale = [snapshot(model) for model in self.models], self.epoch, 0
        else:
            self.stale += 1

    @property
    def _best_point(self) -> Point:
        return next(point for point in self.curve if point.epoch == self.best_epoch)

    def _outputs(self, part: Part) -> Tensor:
        return outputs_of(self.models, part.x, self.plan.data.task)

    def _score(self, outputs: Tensor, part: Part) -> Scores:
        return score(self.plan.data.task, outputs, part.truth, self.target, self._metric)

    def conclude(self) -> tuple[Scores, Scores] | None:
        """Go back to the best weights; returns how they do on the stop part and on the select part.

        This is the one place that looks at the select part, and nothing is trained after it. None where no
        check was reached.
        """
        if not self.best:
            return None
        for model, values in zip(self.models, self.best, strict=True):
            restore(model, values)
        if self.plan.data.task == REGRESSION:
            self.target = fitted(self.target, self._outputs(self.stop), self.stop.truth)
        return self._best_point.stop, self._score(self._outputs(self.select), self.select)

    def state(self) -> dict[str, Any]:
        """All that epochs have changed."""
        return {
            "members": [_member_state(member) for member in self._members],
            "random": random_state(),
            "best": self.best,
            "curve": [(point.epoch, *_pairs(point)) for point in self.curve],
            "counts": (self.epoch, self.steps, self.stale, self.best_epoch),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on where another course of the same task stood.

        Raises:
            ValueError: the state is of another task.
        """
        for member, values in zip(self._members, state["members"], strict=True):
            _load_member(member, values)
        self.best = state["best"]
        self.curve = [Point(at, Scores(*train), Scores(*stop)) for at, train, stop in state["curve"]]
        self.epoch, self.steps, self.stale, self.best_epoch = state["counts"]
        set_random_state(state["random"])


def _rank(plan: Plan, scores: Scores) -> tuple[float, float]:
    first, second = plan.metrics
    return getattr(scores, first), getattr(scores, second)


def _pairs(point: Point) -> tuple[tuple[float, float], tuple[float, float]]:
    return (point.train.error, point.train.nll), (point.stop.error, point.stop.nll)


def _member_state(member: Member) -> dict[str, Any]:
    return {
        "model": snapshot(member.model),
        "optimizer": member.optimizer.state_dict(),
        "order": member.order.get_state(),
        "shifts": member.shifts.get_state(),
    }


def _load_member(member: Member, state: dict[str, Any]) -> None:
    restore(member.model, state["model"])
    member.optimizer.load_state_dict(state["optimizer"])
    member.order.set_state(state["order"])
    member.shifts.set_state(state["shifts"])


def _parts(task: Task, split: Any) -> tuple[Part, Part, Part, Target]:
    parts, target = task.data.parts(split), Target()
    if task.plan.data.task == REGRESSION:
        target = Target(float(parts.y_train.mean()), float(parts.y_train.std()) or 1.0)

    def part(x: Any, truth: npt.NDArray[Any]) -> Part:
        y = truth
        if task.plan.data.task == REGRESSION:
            y = ((truth - target.centre) / target.unit).astype(np.float32)
        return Part(torch.from_numpy(x), torch.from_numpy(y), truth)

    train, stop = part(parts.x_train, parts.y_train), part(parts.x_stop, parts.y_stop)
    return train, stop, part(parts.x_select, parts.y_select), target


def _step_of(task: Task, train: Part) -> Step:
    data = task.plan.data
    weight = balanced(train.y, data.n_outputs) if data.class_weight == "balanced" else None
    return make_step(data.task, task.job.arm, task.recipe, weight)
