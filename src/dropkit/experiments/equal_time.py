"""Where an arm stands after equal time: in the seconds that none took, instead of in equally many steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dropkit.report.plan import Plan
from dropkit.report.record import Run, Scores

__all__ = ["at_equal_time"]


def at_equal_time(plan: Plan, runs: Sequence[Run], none: Sequence[Run]) -> Scores | None:
    """Mean scores on the stop parts of the best that each run was by the time none's run of its pair ended.

    Every epoch of a run is taken to last as long. A run that was not looked at by then, as its epochs are so
    much longer, counts with its first look, which flatters it. The scores are those by which training stops,
    so they are a little too good, those of none likewise.

    Args:
        plan: says which score is the first.
        runs: of the arm, finished ones.
        none: of none, in the same order of pairs.

    Returns:
        Scores | None: nothing where seconds are not known.
    """
    if not runs or not all(run.curve and run.seconds > 0 for run in (*runs, *none)):
        return None
    reached = [_reached(plan, run, other.seconds) for run, other in zip(runs, none, strict=True)]
    return Scores(*(float(np.mean([getattr(each, name) for each in reached])) for name in ("error", "nll")))


def _reached(plan: Plan, run: Run, seconds: float) -> Scores:
    last = run.curve[-1].epoch * seconds / run.seconds
    seen = [point.stop for point in run.curve if point.epoch <= last] or [run.curve[0].stop]
    return min(seen, key=lambda scores: [getattr(scores, metric) for metric in plan.metrics])
