"""Many points in one picture: what of them is drawn, and what lies outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from dropkit.report.record import StudyResult

__all__ = ["cut_off", "thinned", "trial_scores"]

T = TypeVar("T")

_SHOWN = 0.95  # of the points of the search: the rest are mostly trainings that went astray


def thinned(points: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly taken.

    >>> thinned(range(10), 3)
    [0, 4, 9]
    """
    if len(points) <= most:
        return list(points)
    return [points[round(at * (len(points) - 1) / (most - 1))] for at in range(most)]


def cut_off(set_limits: Callable[[float, float], Any], loose: Sequence[float], whole: Sequence[float]) -> int:
    """Limit an axis to all of `whole` and to most of `loose`; return how many of `loose` lie outside.

    Args:
        set_limits: of the axis, e.g. `axes.set_ylim`.
        loose: values of which the largest may be left out.
        whole: values that must be seen.
    """
    shown = np.array([*whole, *loose])
    kept = np.quantile(loose, [0, _SHOWN]) if len(loose) else np.array(whole)
    low, high = float(min(shown.min(), kept.min())), float(max([*whole, *kept]))
    room = 0.06 * (high - low) or 0.5
    set_limits(low - room, high + room)
    return int(np.sum(np.asarray(loose) > high + room))


def trial_scores(result: StudyResult, metric: str) -> dict[str, float]:
    """Mean select score of every setting of the search, by its name."""
    found: dict[str, list[float]] = {}
    for run in result.runs:
        if run.select is not None and not run.paused and result.plan.screens(run.pair):
            found.setdefault(run.arm, []).append(getattr(run.select, metric))
    return {arm: float(np.mean(scores)) for arm, scores in found.items()}
