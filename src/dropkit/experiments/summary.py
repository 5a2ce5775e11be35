"""From runs to comparisons: every arm against `none` on the select parts of the pairs that both finished."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dropkit.experiments.decision import OPEN, Decision, carriers, decide
from dropkit.experiments.equal_time import at_equal_time
from dropkit.experiments.evidence import effect_size, sign_flips, wins
from dropkit.experiments.inference import Paired, paired_test
from dropkit.experiments.power import MOST_PAIRS, Design
from dropkit.experiments.search import luck
from dropkit.report.plan import AS_BROUGHT, NONE, Arm, Plan
from dropkit.report.record import ArmSummary, Comparison, Family, Run, Scores

__all__ = ["Pairs", "compare", "complete_pairs", "summarise", "with_luck"]

MIN_TESTED = 3

Pairs = Mapping[int, Mapping[str, Run]]


def complete_pairs(arms: Sequence[Arm], runs: Iterable[Run]) -> dict[int, dict[str, Run]]:
    """Pairs in which every arm was tried, and `none` and every steady arm succeeded; without failed runs.

    An arm is steady if it fails in less than half of the pairs in which all were tried; the others take no
    pair away, and are not compared.
    """
    tried: dict[int, dict[str, Run]] = {}
    for run in runs:
        tried.setdefault(run.pair, {})[run.arm] = run
    whole = {pair: each for pair, each in sorted(tried.items()) if len(each) == len(arms)}
    failures = Counter(name for each in whole.values() for name, run in each.items() if run.failure)
    needed = {NONE, *(arm.name for arm in arms if 2 * failures[arm.name] < len(whole))}
    done = {pair: {name: run for name, run in each.items() if run.select} for pair, each in whole.items()}
    return {pair: each for pair, each in done.items() if needed <= each.keys()}


def _score(scores: Scores | None, metric: str) -> float:
    if scores is None:
        raise ValueError("a failed run has no scores")
    return float(getattr(scores, metric))


def compare(
    plan: Plan, arms: Sequence[Arm], pairs: Pairs, alpha: float | None = None
) -> tuple[Comparison, ...]:
    """Every arm that has all pairs against `none` in both metrics.

    One correction of Holm's is over all of them in both metrics, since a verdict may recommend any.

    Args:
        plan: metrics, margin and tests.
        arms: what is compared, in the order wanted.
        pairs: as `complete_pairs` gave them.
        alpha: level of this look, if it is not the plan's. Intervals have it too: those of all looks together
            hold the true difference with the probability that the plan says, whenever it ends (Jennison and
            Turnbull, Journal of the Royal Statistical Society B 51, 1989: repeated confidence intervals).
    """
    if len(pairs) < MIN_TESTED:
        return ()
    level = plan.tests.alpha if alpha is None else alpha
    names = [arm.name for arm in arms if all(arm.name in each for each in pairs.values())]
    tried = [name for name in names if name not in (NONE, AS_BROUGHT)]
    brought = [name for name in names if name == AS_BROUGHT and not _is_none(name, pairs)]
    return tuple(_compare(plan, [*tried, *brought], pairs, level))


def _is_none(name: str, pairs: Pairs) -> bool:
    """Whether an arm is none under another name: the very same runs."""
    return all(each[name].id and each[name].id == each[NONE].id for each in pairs.values())


def _compare(plan: Plan, names: Sequence[str], pairs: Pairs, alpha: float) -> list[Comparison]:
    if not names:
        return []
    rows = [_row(plan, name, metric, pairs) for metric in plan.metrics for name in names]
    differences = [row.differences for row in rows]
    margins = [np.nan if row.margin is None else row.margin for row in rows]
    decision = decide(differences, margins, plan.parts.overlap, alpha)
    carried = carriers(differences, margins, plan.parts.overlap, alpha)
    return [
        _comparison(plan, row, decision, at, tuple([*pairs][pair] for pair in carried[at]), alpha)
        for at, row in enumerate(rows)
    ]


@dataclass(frozen=True)
class _Row:
    """What is compared: one arm with none in one metric."""

    arm: str
    metric: str
    none: float
    margin: float | None
    differences: tuple[float, ...]


def _row(plan: Plan, name: str, metric: str, pairs: Pairs) -> _Row:
    none, other = ([_score(runs[each].select, metric) for runs in pairs.values()] for each in (NONE, name))
    mean = float(np.mean(none))
    differences = tuple(b - a for a, b in zip(none, other, strict=True))
    return _Row(name, metric, mean, plan.margin_of(metric, mean), differences)


def _comparison(
    plan: Plan, row: _Row, decision: Decision, at: int, carried: tuple[int, ...], alpha: float
) -> Comparison:
    tests, overlap = plan.tests, plan.parts.overlap
    comparisons = len(decision.outcome)
    design = Design(len(row.differences), overlap, comparisons, alpha, tests.power)
    test = paired_test(row.differences, overlap, 1 - alpha)
    effect, low, high = effect_size(row.differences, overlap, 1 - alpha) or (None, None, None)
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
        p_flips=None if overlap else sign_flips(row.differences),
        carried_by=carried,
        more_pairs=_more_pairs(plan, design, test, row.margin) if outcome == OPEN else None,
        alpha=alpha,
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


def summarise(plan: Plan, arms: Sequence[Arm], runs: Sequence[Run], pairs: Pairs) -> tuple[ArmSummary, ...]:
    """Means of every arm over the complete pairs."""
    failures = Counter(run.arm for run in runs if run.failure)
    done = [(arm, [each for each in pairs.values() if arm.name in each]) for arm in arms]
    return tuple(_timed(plan, arm, each, failures[arm.name]) for arm, each in done if each)


def _timed(plan: Plan, arm: Arm, pairs: Sequence[Mapping[str, Run]], failures: int) -> ArmSummary:
    runs, none = ([each[name] for each in pairs] for name in (arm.name, NONE))
    return replace(_summary(arm, runs, failures), at_equal_time=at_equal_time(plan, runs, none))


def _summary(arm: Arm, runs: Sequence[Run], failures: int) -> ArmSummary:
    train, stop, select = (
        _table(part) for part in ([r.kept for r in runs], [r.stop for r in runs], [r.select for r in runs])
    )
    return ArmSummary(
        arm=arm,
        runs=len(runs),
        failures=failures,
        train=Scores(*train.mean(axis=0).tolist()),
        stop=Scores(*stop.mean(axis=0).tolist()),
        select=Scores(*select.mean(axis=0).tolist()),
        select_sd=Scores(*select.std(axis=0, ddof=1).tolist()) if len(runs) > 1 else None,
        epochs=float(np.mean([run.epochs for run in runs])),
        steps=float(np.mean([run.steps for run in runs])),
        seconds=float(np.mean([run.seconds for run in runs])),
    )


def _table(scores: Sequence[Scores | None]) -> npt.NDArray[np.float64]:
    return np.array([[_score(each, "error"), _score(each, "nll")] for each in scores])


def with_luck(plan: Plan, families: Sequence[Family], arms: Sequence[ArmSummary]) -> tuple[Family, ...]:
    """Families with the optimism of their best select score: the spread of none's times the expected luck."""
    none = next((each.select_sd for each in arms if each.arm.name == NONE and each.select_sd), None)
    finalists = {each.arm.name for each in arms}
    return tuple(
        replace(
            family,
            optimism=None if none is None else luck(family.trials) * _score(none, plan.metrics[0]),
            finalist=family.name in finalists,
        )
        for family in families
    )
