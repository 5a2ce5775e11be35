"""Question zero: would regularising help here at all, or a larger network, or more rows?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dropkit.experiments.budget import SIZE_PAIRS, SIZE_SHARES
from dropkit.experiments.inference import estimate
from dropkit.report.plan import NONE, Arm, Plan
from dropkit.report.record import Fit, Point, Run, Scores

__all__ = ["answer", "size_arms", "size_pairs"]

UNDERFITS, ROOM, UNKNOWN = "underfits", "room", "unknown"

_GAP = 0.1  # of the score on new rows: a smaller gap leaves a regulariser nothing to close


def size_arms(none: Arm) -> tuple[Arm, ...]:
    """None on a quarter and on half of the training rows."""
    return tuple(
        replace(none, name=f"none, {100 * share:g} % of the rows", family="size", share=share)
        for share in SIZE_SHARES
    )


def size_pairs(plan: Plan) -> range:
    """The pairs on which the size of the training part is varied."""
    return range(min(SIZE_PAIRS, plan.tests.pairs))


def answer(plan: Plan, runs: Sequence[Run]) -> Fit | None:
    """What none learned and what it does on new rows, by the share of training rows it had.

    With e(n) the score at n rows, e(2 n) is put at e(n) - r (e(n/2) - e(n)), where r is how much of the gain
    of one doubling was left at the next. Of a score above 0 it is at most e(n) / e(n/2), that of a power law
    that falls to 0, which no score falls faster than for long; else at most 1. It is put nowhere unless the
    same pairs show, by a one-sided corrected t test, that the rows from a quarter on helped at all.

    Underfitting is judged at the end of training, since early stopping keeps weights from before a network
    fits its rows, and only where none beats a guess: what learns nothing may as well have nothing to learn. A
    gap that is small in few rows may be chance: all pairs have to show, by a one-sided corrected t test, that
    it is less than a tenth.

    Args:
        plan: says which score counts.
        runs: of none and of `size_arms`, on the same pairs.

    Returns:
        Fit | None: nothing where a share has no successful run.
    """
    names = {1.0: NONE} | {arm.share: arm.name for arm in size_arms(Arm(NONE, NONE))}
    by_share = {
        share: {r.pair: r for r in runs if r.arm == name and r.select and r.pair in size_pairs(plan)}
        for share, name in sorted(names.items())
    }
    if not all(each and all(run.kept for run in each.values()) for each in by_share.values()):
        return None
    train = tuple(_mean([run.kept for run in each.values() if run.kept]) for each in by_share.values())
    select = tuple(_mean([run.select for run in each.values() if run.select]) for each in by_share.values())
    ends = [run.curve[-1] for run in runs if run.arm == NONE and run.select and run.kept]
    beats_guess = bool(plan.tests.name) or select[-1].error < plan.data.guess_error
    helped = _has_helped(plan, by_share[SIZE_SHARES[0]], by_share[1.0])
    return Fit(
        shares=tuple(by_share),
        train=train,
        select=select,
        answer=_gap(plan, ends) if beats_guess else UNKNOWN,
        more_data=_more_data([getattr(each, plan.metrics[0]) for each in select]) if helped else None,
    )


def _has_helped(plan: Plan, quarter: Mapping[int, Run], whole: Mapping[int, Run]) -> bool:
    gains = [
        getattr(few.select, plan.metrics[0]) - getattr(whole[pair].select, plan.metrics[0])
        for pair, few in quarter.items()
        if pair in whole
    ]
    return len(gains) > 1 and bool(estimate(gains, plan.parts.overlap).above(0.0) < plan.tests.alpha)


def _mean(scores: Sequence[Scores]) -> Scores:
    return Scores(*(float(np.mean([getattr(each, name) for each in scores])) for name in ("error", "nll")))


def _gap(plan: Plan, ends: Sequence[Point]) -> str:
    learned, new = (
        np.array([getattr(scores, plan.metrics[0]) for scores in part])
        for part in ([end.train for end in ends], [end.stop for end in ends])
    )
    if new.mean() <= 0:
        return UNKNOWN
    beyond = new - learned - _GAP * new
    if beyond.mean() >= 0:
        return ROOM
    is_shown = len(ends) > 1 and estimate(beyond, plan.parts.overlap).below(0.0) < plan.tests.alpha
    return UNDERFITS if is_shown else UNKNOWN


def _more_data(scores: Sequence[float]) -> float | None:
    quarter, half, whole = scores
    first, second = quarter - half, half - whole
    if first <= 0 or second <= 0:
        return None
    most = whole / half if whole > 0 else 1.0
    return second * min(most, second / first)
