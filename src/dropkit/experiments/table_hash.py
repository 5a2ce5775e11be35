"""The hash of what a study found, by which two studies can be seen to agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from dropkit.report.record import ArmSummary, Comparison, Run

__all__ = ["table_hash"]


def table_hash(runs: Sequence[Run], arms: Sequence[ArmSummary], comparisons: Sequence[Comparison]) -> str:
    """Hash of every score, curve, mean and test, without the seconds that they took.

    Args:
        runs: every run, in the order of pairs and arms.
        arms: their means.
        comparisons: their tests.

    Returns:
        str: 16 hexadecimal digits.

    >>> table_hash([Run("plan", "none", 0, 1.5)], [], []) == table_hash([Run("plan", "none", 0, 2.5)], [], [])
    True
    """
    parts: tuple[Sequence[Run | ArmSummary | Comparison], ...] = (runs, arms, comparisons)
    found = [_without_seconds(asdict(each)) for part in parts for each in part]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _without_seconds(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "seconds"}
