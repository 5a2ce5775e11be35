"""What a reader of the verdict must know: corrections, checks that disagree, pairs that carry a result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dropkit.experiments.decision import BETTER, OPEN, WORSE
from dropkit.experiments.inference import holm
from dropkit.experiments.sentences import favourite
from dropkit.report.record import ArmSummary, Comparison, Plan
from dropkit.report.words import change, counted, label, listed, margins, p_value, quantity

__all__ = ["caveats"]

_LARGE = 0.1  # of none's error: a margin above it hides what many would call a difference


def caveats(
    plan: Plan,
    comparisons: Sequence[Comparison],
    arms: Sequence[ArmSummary],
    complete: int,
    *,
    stopped_early: bool,
) -> tuple[str, ...]:
    """All that applies, the most important first."""
    shared = (
        f"The pairs share rows, so the test is corrected for it (Nadeau and Bengio: {plan.overlap:.2f} added "
        "to 1/pairs); it is exact only at the correlation n_test / (n_train + n_test). A permutation or rank "
        "test would not hold here, so there is none beside it."
    )
    margin = f"A difference of less than {' or '.join(margins(plan))} counts as none."
    notes = {
        f"Stopped early: {counted(complete, 'pair')} of {plan.pairs} complete.": stopped_early,
        **dict.fromkeys(_carried_notes(plan, comparisons), True),
        **dict.fromkeys(_flip_notes(plan, comparisons), True),
        shared: plan.overlap > 0,
        "No row is used by two pairs, so the plain paired t test holds.": plan.overlap == 0,
        margin: plan.margin is not None,
        **dict.fromkeys(_large_margin(plan, comparisons), True),
        "A change that could be shown need not be large enough to matter: look at its size.": plan.margin
        is None
        and any(each.outcome != OPEN for each in comparisons),
        "Families were compared with none, not with one another.": True,
        "All arms had the same learning rate and the same number of epochs, without early stopping.": True,
        _failure_note(arms): any(each.failures for each in arms),
        _edge_note(plan, arms): _at_edge(plan, arms),
    }
    return tuple(note for note, applies in notes.items() if applies)


def _carried_notes(plan: Plan, comparisons: Sequence[Comparison]) -> list[str]:
    carried = [each for each in comparisons if each.carried_by]
    return [_carried_note(plan, each) for each in carried]


def _carried_note(plan: Plan, each: Comparison) -> str:
    claim = f"{each.outcome!r} for {each.family} in {label(plan, each.metric)}"
    if len(each.carried_by) == 1:
        return f"One pair carries a result: without pair {each.carried_by[0] + 1} it is no longer {claim}."
    named = listed([str(pair + 1) for pair in each.carried_by])
    return f"A result is close to the line: without any one of the pairs {named} it is no longer {claim}."


def _flip_notes(plan: Plan, comparisons: Sequence[Comparison]) -> list[str]:
    """Where the t test shows a difference and the sign flips do not, at the same correction."""
    checked = [each.p_flips for each in comparisons if each.p_flips is not None]
    if len(checked) < len(comparisons) or not checked:
        return []
    adjusted = zip(comparisons, holm(checked), strict=True)
    unsure = [
        f"{each.family} in {label(plan, each.metric)} (Holm's p {p_value(p)})"
        for each, p in adjusted
        if each.outcome in (BETTER, WORSE) and p >= plan.alpha
    ]
    reach = 2.0 ** (1 - comparisons[0].pairs) * len(comparisons)
    never = " With so few pairs it could confirm nothing." if reach >= plan.alpha else ""
    return [f"The sign-flip test does not confirm {listed(unsure)}.{never}"] if unsure else []


def _large_margin(plan: Plan, comparisons: Iterable[Comparison]) -> list[str]:
    return [
        f"The margin is large beside none's {label(plan, each.metric)} of "
        f"{quantity(plan, each.metric, each.none)}: {change(plan, each.metric, each.margin)}. "
        "Give a smaller one if less would matter."
        for each in comparisons
        if each.margin is not None and each.margin > _LARGE * each.none
    ][:1]


def _failure_note(arms: Sequence[ArmSummary]) -> str:
    counts = [f"{each.arm.name} ({each.failures})" for each in arms if each.failures]
    return f"Failed runs, left out: {', '.join(counts)}."


def _at_edge(plan: Plan, arms: Sequence[ArmSummary]) -> list[str]:
    families = {family: [each.arm for each in arms if each.arm.family == family] for family in plan.families}
    favourites = {
        family: favourite(plan, family, arms).arm for family, members in families.items() if members
    }
    largest = {family: max(arm.rate for arm in families[family]) for family in favourites}
    return [arm.name for family, arm in favourites.items() if arm.rate and arm.rate == largest[family]]


def _edge_note(plan: Plan, arms: Sequence[ArmSummary]) -> str:
    return (
        f"At the largest rate tried, so a larger one may do better still: {', '.join(_at_edge(plan, arms))}."
    )
