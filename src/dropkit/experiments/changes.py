"""What a plan has otherwise than the one registered first: it was not decided before anything was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from dropkit.report.plan import Plan

__all__ = ["changes"]

_APART = ("notes", "fingerprint", "estimate", "versions")


def changes(first: str, plan: Plan) -> tuple[str, ...]:
    """The decisions that differ, as `name: before -> now`.

    Args:
        first: the JSON text of the plan that was registered first.
        plan: the one at hand.
    """
    before, now = (
        dict(_flat(record)) for record in (json.loads(first), json.loads(json.dumps(asdict(plan))))
    )
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return tuple(f"{name}: {_brief(before.get(name))} -> {_brief(now.get(name))}" for name in names)


def _flat(record: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if not path and name in _APART:
            continue
        if isinstance(value, dict) and name != "space":  # one entry, not one for each range
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _brief(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
