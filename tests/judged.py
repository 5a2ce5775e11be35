"""Verdicts on planted differences, and looks at what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.made_up import equal_nll, plan, summaries

from dropkit.experiments.verdict import judge
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import ArmSummary, Comparison, Verdict

PAIRS = 10
GIVEN = tuple(Arm(name, name) for name in ("none", "L2", "dropout"))


def given(**changes: Any) -> Plan:
    """A plan for arms that a user gave: L2 is simpler than dropout."""
    return replace(plan(**changes), arms=GIVEN)


def answer(
    differences: Mapping[str, Sequence[float]], made: Plan | None = None, **more: Any
) -> tuple[Verdict, dict[str, Comparison]]:
    """The verdict on differences in error with equal NLL, and the comparisons in error by arm."""
    made = made or given()
    found = equal_nll(made, differences)
    arms = more.pop("arms", summaries({name: 100 * sum(d) / len(d) for name, d in differences.items()}))
    verdict = judge(made, found, arms, **{"complete_pairs": PAIRS, **more})
    return verdict, {each.arm: each for each in found if each.metric == "error"}


def changed(arms: Sequence[ArmSummary], **values: Any) -> tuple[ArmSummary, ...]:
    """The same arms, the last of them with other values."""
    return (*arms[:-1], replace(arms[-1], **values))


def told(verdict: Verdict, start: str) -> str:
    """The one sentence that begins so."""
    (sentence,) = [each for each in (*verdict.sentences, *verdict.caveats) if each.startswith(start)]
    return sentence


def unsaid(verdict: Verdict, part: str) -> bool:
    """Whether no sentence says it."""
    return not any(part in each for each in (verdict.headline, *verdict.sentences, *verdict.caveats))
