"""How long training takes here, measured before a budget is turned into steps."""

from __future__ import annotations

import math
from dataclasses import replace

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Split
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.models import ModelSource
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.experiments.run_id import make_job
from dropkit.experiments.sealed import Sealed
from dropkit.experiments.task import Task
from dropkit.experiments.train import train
from dropkit.report.messages import RAISED
from dropkit.report.plan import Plan
from dropkit.report.record import Run

__all__ = ["seconds_per_epoch"]

_ROWS, _EPOCHS, _RUNS = 2000, 5, 2
_LEAST = 1e-4


def seconds_per_epoch(plan: Plan, sealed: Sealed, source: ModelSource, recipe: Recipe = PLAIN) -> float:
    """Seconds of one thread for one epoch of none with its share of the scoring, from two short runs.

    The first run pays for what is loaded only once; of more than 2,000 rows of a part the first are taken.

    Raises:
        DropkitError: the first run raises an error, as every other would.
    """
    pair, split = next(iter(sealed.splits.items()))
    few = Split(*(rows[:_ROWS] for rows in vars(split).values()))
    epochs = min(_EPOCHS, plan.training.epochs)
    checks = max(1, round(epochs * plan.training.checks / plan.training.epochs))
    training = replace(plan.training, epochs=epochs, checks=checks, patience=checks)
    short = replace(plan, training=training, parts=replace(plan.parts, train=len(few.train)))
    task = Task(short, make_job(short, UNREGULARISED, pair, few), sealed.opened, few, source, recipe=recipe)
    runs = [train(task) for _ in range(_RUNS)]
    _refuse_raised(runs[0], source, recipe)
    seconds = min(run.seconds for run in runs) / epochs
    batches = [math.ceil(rows / plan.training.batch) for rows in (plan.parts.train, len(few.train))]
    return max(seconds * batches[0] / batches[1], _LEAST)


def _refuse_raised(run: Run, source: ModelSource, recipe: Recipe) -> None:
    if run.failure and run.failure.key == RAISED:
        pieces = recipe.names() or {"model": source.name}
        rule = f"must get through a first short run: {run.failure}"
        mend = "try a step of training and of scoring by hand"
        raise DropkitError(" and ".join(pieces), rule, ", ".join(pieces.values()), mend)
