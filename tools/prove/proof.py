"""What a proof is: a promise, a figure, whether it holds, how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Measured", "NotMeasured", "Proof", "run"]


class NotMeasured(Exception):  # noqa: N818 - it is an answer, not an error
    """A part cannot run here; the text says why."""


@dataclass(frozen=True)
class Measured:
    """What a proof found: whether the promise holds, and the figure in words."""

    passed: bool
    figure: str


@dataclass(frozen=True)
class Proof:
    """A promise and what was measured.

    Args:
        promise: its number in the list of promises.
        part: what was measured.
        figure: the result in words, or the reason why there is none.
        passed: whether it holds; None where it was not measured.
        seconds: how long it took.
        date: when, in UTC.
    """

    promise: int
    part: str
    figure: str
    passed: bool | None
    seconds: float
    date: str


def run(promise: int, part: str, measure: Callable[..., Measured], *arguments: Any) -> Proof:
    """Measure, and say so where it was not possible."""
    date, begin = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), time.perf_counter()
    try:
        found = measure(*arguments)
        figure, passed = found.figure, found.passed
    except NotMeasured as reason:
        figure, passed = f"not measured: {reason}", None
    return Proof(promise, part, figure, passed, time.perf_counter() - begin, date)
