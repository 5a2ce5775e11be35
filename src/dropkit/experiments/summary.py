"""From runs to comparisons: choose within a family on the select part, compare on the test part."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dropkit.experiments.inference import detectable_effect, holm, paired_test
from dropkit.report.record import Arm, ArmSummary, Comparison, Plan, Run, Scores

__all__ = ["BETTER", "OPEN", "WORSE", "Pairs", "choose", "compare", "complete_pairs", "summarise"]

MIN_TESTED = 3
BETTER, WORSE, OPEN = "better", "worse", "not shown"

Pairs = Mapping[int, Mapping[str, Run]]


def complete_pairs(plan: Plan, runs: Iterable[Run]) -> dict[int, dict[str, Run]]:
    """Pairs in which every arm was tried, `none` succeeded, and each family has a success."""
    tried: dict[int, dict[str, Run]] = {}
    for run in runs:
        tried.setdefault(run.pair, {})[run.arm] = run
    whole = {pair: arms for pair, arms in sorted(tried.items()) if len(arms) == len(plan.arms)}
    done = {pair: {name: run for name, run in arms.items() if run.test} for pair, arms in whole.items()}
    families = {"none", *plan.families}
    return {pair: arms for pair, arms in done.items() if families <= {_family(plan, name) for name in arms}}


def _family(plan: Plan, name: str) -> str:
    return next(arm.family for arm in plan.arms if arm.name == name)


def choose(plan: Plan, family: str, runs: Mapping[str, Run]) -> Run:
    """The run of a family with the best select score of one pair; the second metric breaks ties."""
    members = [runs[arm.name] for arm in plan.arms if arm.family == family and arm.name in runs]
    return min(members, key=lambda run: [_score(run.select, metric) for metric in plan.metrics])


def _score(scores: Scores | None, metric: str) -> float:
    if scores is None:
        raise ValueError("a failed run has no scores")
    return float(getattr(scores, metric))


def compare(plan: Plan, pairs: Pairs) -> tuple[Comparison, ...]:
    """Every family against `none` in both metrics, with Holm's correction over all of them.

    Choosing happens inside each pair, on rows that its test part does not hold, so the difference is an
    honest score of "this family, with its setting chosen on held-out rows".
    """
    if len(pairs) < MIN_TESTED:
        return ()
    found = [_compare(plan, family, metric, pairs) for metric in plan.metrics for family in plan.families]
    adjusted = holm([each.p for each in found])
    return tuple(_judge(each, p, plan.alpha) for each, p in zip(found, adjusted, strict=True))


def _compare(plan: Plan, family: str, metric: str, pairs: Pairs) -> Comparison:
    none = [_score(runs["none"].test, metric) for runs in pairs.values()]
    other = [_score(choose(plan, family, runs).test, metric) for runs in pairs.values()]
    differences = [b - a for a, b in zip(none, other, strict=True)]
    test = paired_test(differences, plan.overlap)
    seen = detectable_effect(len(pairs), plan.overlap, plan.comparisons, plan.alpha, plan.power) * test.sd
    return Comparison(
        family=family,
        metric=metric,
        pairs=len(pairs),
        none=float(np.mean(none)),
        **dataclasses.asdict(test),
        p_adjusted=1.0,
        detectable=seen or None,
        outcome=OPEN,
        differences=tuple(differences),
    )


def _judge(comparison: Comparison, adjusted: float, alpha: float) -> Comparison:
    shown = adjusted < alpha
    outcome = (BETTER if comparison.mean < 0 else WORSE) if shown else OPEN
    return dataclasses.replace(comparison, p_adjusted=adjusted, outcome=outcome)


def summarise(plan: Plan, runs: Sequence[Run], pairs: Pairs) -> tuple[ArmSummary, ...]:
    """Means of every arm over the complete pairs."""
    chosen = Counter(choose(plan, family, each).arm for each in pairs.values() for family in plan.families)
    failures = Counter(run.arm for run in runs if run.failure)
    rows = [(arm, [each[arm.name] for each in pairs.values() if arm.name in each]) for arm in plan.arms]
    return tuple(_summary(arm, done, failures[arm.name], chosen[arm.name]) for arm, done in rows if done)


def _summary(arm: Arm, runs: Sequence[Run], failures: int, chosen: int) -> ArmSummary:
    train, select, test = (_table(part) for part in ([r.curve[-1].train for r in runs], *_parts(runs)))
    spread = Scores(*test.std(axis=0, ddof=1).tolist()) if len(runs) > 1 else None
    return ArmSummary(
        arm=arm,
        runs=len(runs),
        failures=failures,
        chosen=chosen,
        train=Scores(*train.mean(axis=0).tolist()),
        select=Scores(*select.mean(axis=0).tolist()),
        test=Scores(*test.mean(axis=0).tolist()),
        test_sd=spread,
        seconds=float(np.mean([run.seconds for run in runs])),
    )


def _parts(runs: Sequence[Run]) -> tuple[list[Scores | None], list[Scores | None]]:
    return [run.select for run in runs], [run.test for run in runs]


def _table(scores: Sequence[Scores | None]) -> npt.NDArray[np.float64]:
    return np.array([[_score(each, "error"), _score(each, "nll")] for each in scores])
