"""Ratios of times, measured in turns within one run: seconds drift, their ratios hardly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

__all__ = ["Ratio", "Work", "ratios"]

Work = Callable[[], object]

TURNS = 9
LEAST_TURNS = 3
SECONDS_A_TURN = 0.02
SECONDS_IN_ALL = 20.0


class Ratio(float):
    """The median ratio over turns, with the range that the middle half of them lies in."""

    low: float
    high: float

    def __new__(cls, turns: Sequence[float]) -> Ratio:
        """Summarise the ratio of every turn.

        >>> ratio = Ratio([1.0, 2.0, 4.0])
        >>> float(ratio), ratio.low, ratio.high
        (2.0, 1.5, 3.0)
        """
        ratio = super().__new__(cls, statistics.median(turns))
        ends = statistics.quantiles(turns, n=4, method="inclusive") if len(turns) > 1 else [turns[0]] * 3
        ratio.low, ratio.high = ends[0], ends[2]
        return ratio


def seconds(work: Work, repeats: int) -> float:
    """Return the time of one call, averaged over `repeats` calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    return (time.perf_counter() - start) / repeats


def ratios(ours: Work, peers: Mapping[str, Work], turns: int = TURNS) -> dict[str, float]:
    """Return how many times as long as `ours` each peer takes, as a `Ratio`."""
    works = {"": ours, **peers}
    for work in works.values():
        work()
    once = {name: seconds(work, 1) for name, work in works.items()}
    repeats = {name: max(1, int(SECONDS_A_TURN / once[name])) for name in works}
    a_turn = sum(max(SECONDS_A_TURN, each) for each in once.values())
    turns = max(min(turns, LEAST_TURNS), min(turns, int(SECONDS_IN_ALL / a_turn)))
    measured = [{name: seconds(work, repeats[name]) for name, work in works.items()} for _ in range(turns)]
    return {name: Ratio([turn[name] / turn[""] for turn in measured]) for name in peers}
