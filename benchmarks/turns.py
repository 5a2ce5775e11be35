"""Ratios of times, measured in turns within one run: seconds drift, their ratios hardly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["Work", "ratios"]

Work = Callable[[], object]

TURNS = 9
SECONDS_A_TURN = 0.02


def seconds(work: Work, repeats: int) -> float:
    """Return the time of one call, averaged over `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def repeats_for(work: Work) -> int:
    """Return how many calls fill a turn."""
    work()
    return max(1, int(SECONDS_A_TURN / seconds(work, 1)))


def ratios(ours: Work, peers: Mapping[str, Work], turns: int = TURNS) -> dict[str, float]:
    """Return how many times as long as `ours` each peer takes: the median over turns of all."""
    works = {"": ours, **peers}
    repeats = {name: repeats_for(work) for name, work in works.items()}
    measured = [{name: seconds(work, repeats[name]) for name, work in works.items()} for _ in range(turns)]
    return {name: statistics.median(turn[name] / turn[""] for turn in measured) for name in peers}
