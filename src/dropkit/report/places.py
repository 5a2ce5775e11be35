"""Where dropout can stand in a model, and where the recommended arm puts it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from dropkit.report.plan import NONE, Arm
from dropkit.report.record import StudyResult

__all__ = ["MOST_MODULES", "Places", "places_of"]

MOST_MODULES = 40
"""So many modules are shown: those of the recommended arm, and the first of the others."""


@dataclass(frozen=True)
class Places:
    """A table of modules (`""` is the input) by methods: `here` where the arm drops, else `possible`.

    `hidden` is how many modules are left out.
    """

    methods: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    hidden: int


def places_of(result: StudyResult) -> Places | None:
    """The table of places, or None where nothing can stand anywhere."""
    sites = {"input_dropout": ("",)} | result.plan.model.sites
    if len(sites) == 1:
        return None
    arm = next(
        (each.arm for each in result.arms if each.arm.name == result.verdict.recommended), Arm(NONE, NONE)
    )
    modules = _in_order(sites)
    rows = [(name, tuple(_mark(arm, method, name, sites[method]) for method in sites)) for name in modules]
    here = [row for row in rows if "here" in row[1]]
    first = rows[: max(MOST_MODULES - len(here), 0)]
    kept = tuple(row for row in rows if row in here or row in first)
    return Places(tuple(sites), kept, len(rows) - len(kept))


def _in_order(sites: dict[str, tuple[str, ...]]) -> list[str]:
    """All modules as a forward pass reaches them: embeddings of the input first, then block by block.

    The plan has an order for each method alone. What two lists do not settle goes by names: a branch ends
    behind the last of the modules with which it shares the most leading parts.
    """
    tokens = sites.get("token_dropout", ())
    lists = [tokens, *sorted(sites.values(), key=len, reverse=True)]
    order = [""]
    for names in lists:
        least = 1
        for name in names:
            if name and name not in order:
                order.insert(_behind(order, name, least), name)
            least = order.index(name) + 1
    return order


def _behind(order: list[str], name: str, least: int) -> int:
    """Where a name goes: not before `least`, behind the nearest of its block, else at the end."""
    shared = [(_shared(other, name), at + 1) for at, other in enumerate(order) if at >= least]
    most, place = max(shared, default=(0, least))
    return place if most else max(len(order), least)


def _shared(one: str, other: str) -> int:
    pairs = zip(one.split("."), other.split("."), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _mark(arm: Arm, method: str, module: str, names: tuple[str, ...]) -> str:
    if module not in names:
        return ""
    if method == "input_dropout":
        return "here" if arm.input_rate else "possible"
    there = arm.rate > 0 and arm.method == method and module in (arm.at or names)
    return "here" if there else "possible"
