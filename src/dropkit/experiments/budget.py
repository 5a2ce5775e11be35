"""From minutes to steps: how many epochs and trials a budget pays for, fixed before anything is spent."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from dropkit.core.check import DropkitError
from dropkit.experiments.families import COMBINED, MEMBERS, ensembles
from dropkit.report.plan import Arm, Plan

__all__ = ["DEFAULT", "Cost", "calibrate", "estimate", "most_runs", "parse_budget"]

DEFAULT = 70.0
"""Seconds for training where none are given: with reading, judging and drawing it is under two minutes."""

FEWEST_TRIALS, MOST_TRIALS = 4, 40
SIZE_SHARES, SIZE_PAIRS = (0.25, 0.5), 3

_FEWEST_STEPS = 200  # fewer would compare networks that have hardly begun to learn
_PRUNED = 0.75  # of a trial's steps, where half of the trials end half way
_IDLE = 1.15  # workers wait for the last run of a round
_FORM = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(s|m|min|h)")
_UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def parse_budget(budget: str | None) -> float | None:
    """Seconds of wall clock, None where no budget is given.

    Args:
        budget: a number above 0 with a unit: s, m or h.

    Raises:
        DropkitError: it is something else.

    >>> parse_budget("10m"), parse_budget("1.5 h"), parse_budget(None)
    (600.0, 5400.0, None)
    """
    if budget is None:
        return None
    found = _FORM.fullmatch(budget) if isinstance(budget, str) else None
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not seconds > 0:
        raise DropkitError("budget", "must be a time above 0 with its unit", budget, "write e.g. 10m or 2h")
    return seconds


@dataclass(frozen=True)
class Cost:
    """What was measured: seconds of one thread for one epoch, and the workers there are."""

    epoch: float
    workers: int


def estimate(plan: Plan, cost: Cost) -> float:
    """Seconds of wall clock that a plan is expected to take at most: R-Drop passes each batch twice.

    By how much early stopping shortens it is not known before.
    """
    return _epochs_of_runs(plan) * plan.training.epochs * cost.epoch * _IDLE / cost.workers


def _epochs_of_runs(plan: Plan) -> float:
    """The whole study in runs of none of full length, if the costliest families are compared."""
    if plan.arms:
        return plan.tests.pairs * sum(_weight(plan, arm) for arm in plan.arms)
    share = _PRUNED if plan.search.prune else 1.0
    weights = [_weight(plan, _costliest(plan, name)) for name in plan.search.families]
    searched = sum(weights) * plan.search.trials * plan.search.splits * share
    compared = (2 + sum(sorted(weights)[-plan.search.finalists :])) * plan.tests.pairs
    return searched + compared + SIZE_PAIRS * len(SIZE_SHARES)


def _weight(plan: Plan, arm: Arm) -> float:
    """What a run of an arm costs, in runs of none: each member has an epoch at least."""
    return (2 if arm.r_drop else 1) * max(1.0, arm.members / plan.training.epochs)


def _costliest(plan: Plan, family: str) -> Arm:
    names = ("R-Drop", COMBINED) if "R-Drop" in plan.search.families else ()
    several = family in {space.name for space in ensembles()}
    return Arm(family, family, r_drop=float(family in names), members=max(MEMBERS) if several else 1)


def most_runs(plan: Plan) -> int:
    """How many runs a plan takes at most; a pause counts as a run of its own."""
    if plan.arms:
        return len(plan.arms) * plan.tests.pairs
    searched = len(plan.search.families) * plan.search.trials * plan.search.splits
    compared = (2 + plan.search.finalists) * plan.tests.pairs
    return (1 + plan.search.prune) * searched + compared + SIZE_PAIRS * len(SIZE_SHARES)


def calibrate(plan: Plan, cost: Cost, seconds: float | None, *, epochs: bool, trials: bool) -> Plan:
    """The plan with so many epochs and trials as the budget pays for.

    First the trials are cut to the fewest, then the epochs; what is left over buys trials.

    Args:
        plan: with the epochs that its data would like.
        cost: what was measured.
        seconds: the budget; None for the default, which may be overdrawn.
        epochs: whether these may be changed.
        trials: whether these may be changed.

    Raises:
        DropkitError: the budget does not pay for the shortest study.
    """
    least = _with_trials(plan, FEWEST_TRIALS) if trials and not plan.arms else plan
    wanted = DEFAULT if seconds is None else seconds
    if epochs and estimate(least, cost) > wanted:
        least = _with_epochs(least, wanted / estimate(least, cost))
    if seconds is not None and estimate(least, cost) > seconds:
        needed = f"{math.ceil(1.1 * estimate(least, cost))}s"
        rule = f"must pay for the shortest study with {least.tests.pairs} pairs, about {needed}"
        raise DropkitError(
            "budget", rule, f"{seconds:g}s", f"give {needed} or more, fewer pairs or less data"
        )
    return _spend(least, cost, wanted) if trials and not plan.arms else least


def _with_trials(plan: Plan, trials: int) -> Plan:
    return replace(plan, search=replace(plan.search, trials=trials))


def _with_epochs(plan: Plan, share: float) -> Plan:
    steps = math.ceil(plan.parts.train / plan.training.batch)
    fewest = min(plan.training.epochs, max(1, math.ceil(_FEWEST_STEPS / steps)))
    epochs = max(fewest, math.floor(share * plan.training.epochs))
    return replace(plan, training=replace(plan.training, epochs=epochs))


def _spend(plan: Plan, cost: Cost, seconds: float) -> Plan:
    one_more = estimate(_with_trials(plan, plan.search.trials + 1), cost) - estimate(plan, cost)
    more = max(0, math.floor((seconds - estimate(plan, cost)) / one_more))
    return _with_trials(plan, min(MOST_TRIALS, plan.search.trials + more))
