"""The answer in plain sentences; "take none" and "not enough evidence" are two of them."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.experiments.caveats import caveats
from dropkit.experiments.decision import BETTER, EQUIVALENT, NO_BETTER, OPEN, WORSE, as_good
from dropkit.experiments.sentences import (
    capital,
    favourite,
    fit_sentence,
    moves,
    open_sentences,
    random_sentence,
    shown_sentences,
)
from dropkit.report.record import ArmSummary, Comparison, Plan, Verdict
from dropkit.report.words import change, counted, label

__all__ = ["judge"]


def judge(
    plan: Plan,
    comparisons: Sequence[Comparison],
    arms: Sequence[ArmSummary],
    complete_pairs: int,
    *,
    stopped_early: bool,
) -> Verdict:
    """Headline, sentences and caveats; `none` is recommended unless a family was shown to be better."""
    notes = caveats(plan, comparisons, arms, complete_pairs, stopped_early=stopped_early)
    if not comparisons:
        return Verdict(
            f"No verdict: {counted(complete_pairs, 'pair')} complete, and three are the least for a test.",
            ("What is finished is kept; repeat the same command to go on.", *random_sentence(plan)),
            notes,
            recommended="none",
        )
    main, other = ([each for each in comparisons if each.metric == metric] for metric in plan.metrics)
    taken = _simplest(plan, main) or _simplest(plan, other)
    recommended = favourite(plan, taken.family, arms).arm.name if taken else "none"
    sentences = random_sentence(plan) + shown_sentences(plan, comparisons, arms)
    sentences += open_sentences(plan, comparisons) + fit_sentence(plan, arms)
    return Verdict(_headline(plan, main, other, recommended), tuple(sentences), notes, recommended)


def _best(comparisons: Sequence[Comparison]) -> Comparison | None:
    better = [each for each in comparisons if each.outcome == BETTER]
    return min(better, key=lambda each: each.mean, default=None)


def _simplest(plan: Plan, comparisons: Sequence[Comparison]) -> Comparison | None:
    """Of the families that are better than none, the first of the plan's that is as good as the best."""
    best, better = _best(comparisons), [each for each in comparisons if each.outcome == BETTER]
    if best is None or best.margin is None:
        return best
    differences = [each.differences for each in better]
    good = as_good(differences, better.index(best), best.margin, plan.overlap, plan.alpha)
    return min((better[row] for row in good), key=lambda each: plan.families.index(each.family))


def _headline(plan: Plan, main: Sequence[Comparison], other: Sequence[Comparison], recommended: str) -> str:
    best, taken, beside = _best(main), _simplest(plan, main), _simplest(plan, other)
    if best and taken:
        return _gain(plan, best, taken, recommended)
    answer, end = _no_gain(plan, main), "Take none, it is the simplest."
    if beside is None:
        return f"{answer}. {end}"
    nll = beside.metric == "nll"
    matters = "probabilities matter" if nll else f"the {label(plan, beside.metric)} matters"
    gain = f"{beside.family} improves test {moves(plan, beside)}"
    return f"{answer}. But {gain}: take {recommended!r} if {matters}, else none."


def _gain(plan: Plan, best: Comparison, taken: Comparison, recommended: str) -> str:
    helps = f"{capital(best.family)} helps: test {moves(plan, best)}."
    if taken is best or best.margin is None:
        return f"{helps} Take {recommended!r}."
    near = change(plan, best.metric, best.margin)
    return f"{helps} {capital(taken.family)} is as good within {near} and simpler: take {recommended!r}."


def _no_gain(plan: Plan, main: Sequence[Comparison]) -> str:
    outcomes = {each.outcome for each in main}
    name, base = label(plan, plan.metric), _baseline(plan)
    within = next((f" within {change(plan, plan.metric, each.margin)}" for each in main if each.margin), "")
    if outcomes == {EQUIVALENT}:
        return f"Equivalent: the {name} of all families is that of {base}{within}"
    if outcomes == {WORSE}:
        return f"No dropout: every family raises the {name} of {base}"
    if outcomes <= {EQUIVALENT, NO_BETTER, WORSE}:
        return f"No dropout: {base} is as good as every family or better{within} of {name}"
    nothing = "No difference" if outcomes <= {OPEN} else "No gain"
    return f"{nothing} in {name} could be shown against {base}: not enough evidence{_outlook(plan, main)}"


def _baseline(plan: Plan) -> str:
    return (
        "the model without further regularisation" if plan.random_modes else "training without regularisation"
    )


def _outlook(plan: Plan, main: Sequence[Comparison]) -> str:
    """What more pairs would do about what is not shown; empty where there was no spread to tell from."""
    unsure = [each for each in main if each.outcome == OPEN and each.sd]
    counts = [each.more_pairs for each in unsure if each.more_pairs is not None]
    if not unsure:
        return ""
    if not counts:
        return ", and no number of pairs on these data would decide" if plan.overlap or plan.room else ""
    whole = "decide" if len(counts) == len(unsure) else f"decide for {len(counts)} of {len(unsure)} families"
    return f", about {counted(max(counts), 'more pair')} would {whole}"
