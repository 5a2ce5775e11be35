"""What one run is asked to do, and how its epochs, steps and seeds follow from that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dropkit.experiments.dataset import Dataset, Index, Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.randomness import pair_seeds
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.report.plan import Arm, Job, Plan

__all__ = ["Seeds", "Task", "check_epochs", "epochs_of", "member_seeds", "share_of"]


@dataclass(frozen=True)
class Task:
    """All that one run needs, so that any process can do it.

    Args:
        plan: of the study.
        job: which arm on which pair, how far, and whether its weights are kept.
        data: without the sealed rows.
        split: the rows of the pair.
        source: of the model.
        folder: for checkpoints and kept weights; None for neither.
        recipe: what of training is the user's own.
    """

    plan: Plan
    job: Job
    data: Dataset
    split: Split
    source: ModelSource
    folder: Path | None = None
    recipe: Recipe = PLAIN


@dataclass(frozen=True)
class Seeds:
    """Where a network draws from: what arms of a pair share, and the noise of its dropout."""

    init: int
    order: int
    noise: int


def member_seeds(plan: Plan, pair: int, member: int = 0) -> Seeds:
    """The seeds of a network; the first member of an ensemble has those of a network that stands alone."""
    if member == 0:
        return Seeds(*pair_seeds(plan.seed, pair)[1:])
    states = np.random.SeedSequence(plan.seed, spawn_key=(pair, member)).generate_state(3)
    return Seeds(*(int(state) for state in states))


def share_of(split: Split, share: float, seed: int) -> Split:
    """The split with the first share of its training rows, in an order that only the seed decides.

    A smaller share lies inside every larger one.

    >>> rows = np.arange(8)
    >>> half, quarter = (share_of(Split(rows, rows, rows), part, seed=0).train for part in (0.5, 0.25))
    >>> len(half), set(quarter) < set(half)
    (4, True)
    """
    if share == 1:
        return split
    order: Index = np.random.default_rng(seed).permutation(split.train)
    return replace(split, train=order[: math.ceil(share * len(order))])


def epochs_of(plan: Plan, arm: Arm) -> int:
    """How many epochs each network of an arm is trained for, at least 1.

    All arms take about as many steps as none: members divide them, and with a share of the rows, of which an
    epoch has fewer batches, there are more epochs.
    """
    batches, rows = _batches(plan, 1.0), _batches(plan, arm.share)
    return max(round(plan.training.epochs * batches / rows) // arm.members, 1)


def _batches(plan: Plan, share: float) -> int:
    return math.ceil(math.ceil(share * plan.parts.train) / plan.training.batch)


def check_epochs(epochs: int, checks: int) -> tuple[int, ...]:
    """The epochs after which the stop part is looked at: the first, the last, and evenly between.

    >>> check_epochs(10, 4), check_epochs(3, 20), check_epochs(10, 1)
    ((1, 4, 7, 10), (1, 2, 3), (10,))
    """
    if checks == 1:
        return (epochs,)
    return tuple(sorted({1 + round((epochs - 1) * k / (checks - 1)) for k in range(checks)}))
