"""The hash of what a study found, by which two studies can be seen to agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dropkit.report.record import ArmSummary, Comparison, Family, Run, Sealed

__all__ = ["table_hash"]

_TIMED = frozenset(("seconds", "at_equal_time"))


def table_hash(
    runs: Sequence[Run],
    families: Sequence[Family],
    arms: Sequence[ArmSummary],
    comparisons: Sequence[Comparison],
    sealed: Sequence[Sealed] = (),
) -> str:
    """Hash of every score, curve, mean and test, without the seconds that they took and the plan's number.

    Args:
        runs: every run, in the order of pairs and arms.
        families: what the search found.
        arms: their means.
        comparisons: their tests.
        sealed: what the sealed part gave.

    Returns:
        str: 16 hexadecimal digits.

    >>> slow, fast = ([Run("plan", "none", 0, seconds)] for seconds in (1.5, 2.5))
    >>> table_hash(slow, [], [], []) == table_hash(fast, [], [], [])
    True
    """
    parts: tuple[Sequence[Run | Family | ArmSummary | Comparison | Sealed], ...] = (
        *(runs, families, arms, comparisons, sealed),
    )
    found = [_without_seconds(asdict(each)) for part in parts for each in part]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in _TIMED}
