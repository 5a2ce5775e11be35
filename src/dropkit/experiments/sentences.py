"""The sentences of a verdict: what was shown, what was not and what it would take, and how well it fits."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.experiments.dataset import CLASSIFICATION
from dropkit.experiments.decision import BETTER, EQUIVALENT, NO_BETTER, OPEN, WORSE
from dropkit.experiments.power import MOST_PAIRS
from dropkit.report.record import ArmSummary, Comparison, Plan
from dropkit.report.words import (
    change,
    counted,
    effect,
    interval,
    label,
    listed,
    move,
    p_value,
    quantity,
    wins,
)

__all__ = [
    "capital",
    "favourite",
    "fit_sentence",
    "moves",
    "open_sentences",
    "random_sentence",
    "shown_sentences",
]


def favourite(plan: Plan, family: str, arms: Sequence[ArmSummary]) -> ArmSummary:
    """The setting of a family with the best mean select score; the second metric breaks ties."""
    members = [each for each in arms if each.arm.family == family]
    first, second = plan.metrics
    return min(members, key=lambda each: (getattr(each.select, first), getattr(each.select, second)))


def moves(plan: Plan, each: Comparison) -> str:
    """From which score to which."""
    return f"{label(plan, each.metric)} {move(plan, each.metric, each.none, each.none + each.mean)}"


def capital(text: str) -> str:
    """The text with a capital first letter, all others as they are."""
    return text[:1].upper() + text[1:]


def shown_sentences(plan: Plan, comparisons: Sequence[Comparison], arms: Sequence[ArmSummary]) -> list[str]:
    """One sentence for each family of which something was shown."""
    sentences = []
    for family in plan.families:
        shown = [each for each in comparisons if each.family == family and each.outcome != OPEN]
        if shown:
            setting = favourite(plan, family, arms).arm.name
            effects = listed([_effect(plan, each) for each in shown])
            sentences.append(f"{capital(family)} {effects}; best on the select part: {setting}.")
    return sentences


def _effect(plan: Plan, each: Comparison) -> str:
    span = "the same in every pair" if each.low is None else f"{interval(plan, each)} at 95 %"
    if each.outcome in (BETTER, WORSE):
        verb = "lowers" if each.outcome == BETTER else "raises"
        size = "" if each.effect is None else f", d {effect(each)}"
        sure = f"difference {span}, Holm's p {p_value(each.p_adjusted)}{size}, better in {wins(each)} pairs"
        return f"{verb} test {moves(plan, each)} ({sure})"
    return (
        f"{_SMALL[each.outcome].format(label(plan, each.metric), _margin(plan, each))} ({_small(each, span)})"
    )


_SMALL = {
    EQUIVALENT: "leaves test {} as it is within {}",
    NO_BETTER: "does not improve test {} by {} or more",
}


def _small(each: Comparison, span: str) -> str:
    p = each.p_equivalent if each.outcome == EQUIVALENT else each.p_no_better
    return f"difference {span}" if p is None else f"difference {span}, Holm's p {p_value(p)}"


def _margin(plan: Plan, each: Comparison) -> str:
    return "" if each.margin is None else change(plan, each.metric, each.margin)


def open_sentences(plan: Plan, comparisons: Sequence[Comparison]) -> list[str]:
    """What was not shown: how large a difference would have been seen, and what more pairs would do."""
    sentences = []
    for metric in plan.metrics:
        undecided = [each for each in comparisons if each.metric == metric and each.outcome == OPEN]
        spread = [each for each in undecided if each.detectable is not None]
        equal = [each for each in undecided if each.detectable is None]
        sentences += [_spread_sentence(plan, metric, spread)] if spread else []
        sentences += _outlook_sentences(plan, metric, spread)
        sentences += [_equal_sentence(plan, metric, equal)] if equal else []
    return sentences


def _spread_sentence(plan: Plan, metric: str, spread: Sequence[Comparison]) -> str:
    largest = max(each.detectable or 0.0 for each in spread)
    return (
        f"No difference in {label(plan, metric)} could be shown for {listed([e.family for e in spread])}: "
        f"with the spread between pairs seen here, a true one of {change(plan, metric, largest)} would have "
        f"been found with {100 * plan.power:.0f} % probability."
    )


def _outlook_sentences(plan: Plan, metric: str, spread: Sequence[Comparison]) -> list[str]:
    counts = [f"{each.more_pairs} for {each.family}" for each in spread if each.more_pairs is not None]
    never = [each for each in spread if each.more_pairs is None]
    name = label(plan, metric)
    found = (
        f"If the true differences in {name} are those seen, about so many more pairs would decide: "
        f"{listed(counts)}."
    )
    return ([found] if counts else []) + ([_never_sentence(plan, metric, never)] if never else [])


def _never_sentence(plan: Plan, metric: str, never: Sequence[Comparison]) -> str:
    families = listed([each.family for each in never])
    return (
        f"No number of pairs on these data would decide about {label(plan, metric)} for {families} if the "
        f"true differences are those seen: {_why_never(plan, metric, never)}."
    )


def _why_never(plan: Plan, metric: str, never: Sequence[Comparison]) -> str:
    if plan.room is None:
        least = change(plan, metric, min(plan.floor * each.sd for each in never))
        return (
            f"pairs share rows, so that even endlessly many would find a true one of {least} with no more "
            f"than {100 * plan.power:.0f} % probability; only more rows would"
        )
    if plan.room < MOST_PAIRS:
        return f"they hold no more than {plan.room} pairs without shared rows"
    return f"a study has no more than {MOST_PAIRS} pairs"


def _equal_sentence(plan: Plan, metric: str, equal: Sequence[Comparison]) -> str:
    same = [each.family for each in equal if each.mean == 0]
    moved = [f"{each.family} ({change(plan, metric, each.mean)})" for each in equal if each.mean != 0]
    name, pairs = label(plan, metric), counted(equal[0].pairs, "pair")
    parts = [f"the {name} of none in all {pairs} for {listed(same)}"] if same else []
    parts += [f"one and the same change of {name} in all {pairs} for {listed(moved)}"] if moved else []
    return (
        f"The test parts gave exactly {'; '.join(parts)}: without any spread nothing can be said about how "
        "small a difference would have been found."
    )


def fit_sentence(plan: Plan, arms: Sequence[ArmSummary]) -> list[str]:
    """What `none` learned and what it does on new rows, beside a guess."""
    none = next((each for each in arms if each.arm.name == "none"), None)
    if none is None:
        return []
    learnt, new, guessed = (
        quantity(plan, "error", value) for value in (none.train.error, none.select.error, plan.guess_error)
    )
    name, start = label(plan, "error"), "With arm none" if plan.random_modes else "Without regularisation"
    guess = "commonest class" if plan.task == CLASSIFICATION else "mean"
    return [
        f"{start} the {name} was {learnt} on training rows and {new} on new ones; "
        f"always guessing the {guess} would give {guessed}."
    ]


def random_sentence(plan: Plan) -> list[str]:
    """What it means that `none` still draws."""
    if not plan.random_modes:
        return []
    modes = " and ".join(plan.random_modes)
    scored = (
        " Scores are taken in eval mode, so each holds such a draw." if "eval" in plan.random_modes else ""
    )
    return [
        f"Arm none is not free of dropout or other noise: in {modes} mode the model's outputs change from "
        "pass to pass although its dropout modules are off, as a call of F.dropout inside forward makes them "
        "do. Every arm has that noise, so this is no comparison with training without dropout; "
        f"write such calls as modules to have them switched.{scored}"
    ]
