"""From runs to comparisons: choose within a family on the select part, compare on the test part."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dropkit.experiments.decision import OPEN, Decision, carriers, decide
from dropkit.experiments.evidence import effect_size, sign_flips, wins
from dropkit.experiments.inference import Paired, paired_test
from dropkit.experiments.power import MOST_PAIRS, Design
from dropkit.report.record import Arm, ArmSummary, Comparison, Plan, Run, Scores

__all__ = ["Pairs", "choose", "compare", "complete_pairs", "summarise"]

MIN_TESTED = 3

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
    rows = [_row(plan, family, metric, pairs) for metric in plan.metrics for family in plan.families]
    differences = [row.differences for row in rows]
    margins = [np.nan if row.margin is None else row.margin for row in rows]
    decision = decide(differences, margins, plan.overlap, plan.alpha)
    carried = carriers(differences, margins, plan.overlap, plan.alpha)
    return tuple(
        _comparison(plan, row, decision, at, tuple([*pairs][pair] for pair in carried[at]))
        for at, row in enumerate(rows)
    )


@dataclass(frozen=True)
class _Row:
    """What is compared: one family with none in one metric."""

    family: str
    metric: str
    none: float
    margin: float | None
    differences: tuple[float, ...]


def _row(plan: Plan, family: str, metric: str, pairs: Pairs) -> _Row:
    none = [_score(runs["none"].test, metric) for runs in pairs.values()]
    other = [_score(choose(plan, family, runs).test, metric) for runs in pairs.values()]
    mean = float(np.mean(none))
    differences = tuple(b - a for a, b in zip(none, other, strict=True))
    return _Row(family, metric, mean, plan.margin_of(metric, mean), differences)


def _comparison(plan: Plan, row: _Row, decision: Decision, at: int, carried: tuple[int, ...]) -> Comparison:
    design = Design(len(row.differences), plan.overlap, plan.comparisons, plan.alpha, plan.power)
    test = paired_test(row.differences, plan.overlap)
    effect, low, high = effect_size(row.differences, plan.overlap) or (None, None, None)
    outcome = str(decision.outcome[at])
    return Comparison(
        **dataclasses.asdict(row),
        **dataclasses.asdict(test),
        pairs=design.pairs,
        p_adjusted=float(decision.p_adjusted[at]),
        detectable=design.detectable * test.sd or None,
        outcome=outcome,
        p_equivalent=_known(decision.p_equivalent[at]),
        p_no_better=_known(decision.p_no_better[at]),
        effect=effect,
        effect_low=low,
        effect_high=high,
        wins=wins(row.differences),
        p_flips=None if plan.overlap else sign_flips(row.differences),
        carried_by=carried,
        more_pairs=_more_pairs(plan, design, test, row.margin) if outcome == OPEN else None,
    )


def _known(p: float) -> float | None:
    return None if np.isnan(p) else float(p)


def _more_pairs(plan: Plan, design: Design, test: Paired, margin: float | None) -> int | None:
    if test.sd == 0:
        return None
    most = MOST_PAIRS if plan.room is None else min(plan.room, MOST_PAIRS)
    scaled = None if margin is None else margin / test.sd
    needed = design.pairs_to_decide(test.mean / test.sd, scaled, most)
    return None if needed is None else max(needed - design.pairs, 1)


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
