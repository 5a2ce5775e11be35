"""The answer in plain sentences; "no difference could be shown" is one of them."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.experiments.dataset import CLASSIFICATION
from dropkit.experiments.summary import BETTER, OPEN
from dropkit.report.record import ArmSummary, Comparison, Plan, Verdict
from dropkit.report.words import change, counted, interval, label, listed, move, p_value, quantity

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
    caveats = _caveats(plan, comparisons, arms, complete_pairs, stopped_early)
    if not comparisons:
        return Verdict(
            f"No verdict: {counted(complete_pairs, 'pair')} complete, and three are the least for a test.",
            ("What is finished is kept; repeat the same command to go on.", *_random_sentence(plan)),
            caveats,
            recommended="none",
        )
    best, beside = (_best([each for each in comparisons if each.metric == metric]) for metric in plan.metrics)
    shown = best or beside
    recommended = _favourite(plan, shown.family, arms).arm.name if shown else "none"
    sentences = _random_sentence(plan) + _family_sentences(plan, comparisons, arms)
    sentences += _open_sentences(plan, comparisons) + _fit_sentence(plan, arms)
    return Verdict(_headline(plan, best, beside, recommended), tuple(sentences), caveats, recommended)


def _best(comparisons: Sequence[Comparison]) -> Comparison | None:
    better = [each for each in comparisons if each.outcome == BETTER]
    return min(better, key=lambda each: each.mean, default=None)


def _favourite(plan: Plan, family: str, arms: Sequence[ArmSummary]) -> ArmSummary:
    members = [each for each in arms if each.arm.family == family]
    first, second = plan.metrics
    return min(members, key=lambda each: (getattr(each.select, first), getattr(each.select, second)))


def _headline(plan: Plan, best: Comparison | None, beside: Comparison | None, recommended: str) -> str:
    if best:
        return f"{_capital(best.family)} helps: test {_moves(plan, best)}. Take {recommended!r}."
    main = f"No difference in {label(plan, plan.metric)} could be shown against {_baseline(plan)}"
    if beside is None:
        return f"{main}: take none of these, it is the simplest."
    other = "probabilities" if beside.metric == "nll" else label(plan, beside.metric)
    gain = f"{beside.family} improves test {_moves(plan, beside)}"
    return f"{main}, but {gain}. Take {recommended!r} if {other} matter, else none."


def _baseline(plan: Plan) -> str:
    return (
        "the model without further regularisation" if plan.random_modes else "training without regularisation"
    )


def _moves(plan: Plan, each: Comparison) -> str:
    return f"{label(plan, each.metric)} {move(plan, each.metric, each.none, each.none + each.mean)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _family_sentences(plan: Plan, comparisons: Sequence[Comparison], arms: Sequence[ArmSummary]) -> list[str]:
    sentences = []
    for family in plan.families:
        shown = [each for each in comparisons if each.family == family and each.outcome != OPEN]
        if shown:
            setting = _favourite(plan, family, arms).arm.name
            effects = listed([_effect(plan, each) for each in shown])
            sentences.append(f"{_capital(family)} {effects}; best on the select part: {setting}.")
    return sentences


def _effect(plan: Plan, each: Comparison) -> str:
    verb = "lowers" if each.outcome == BETTER else "raises"
    span = "the same in every pair" if each.low is None else f"{interval(plan, each)} at 95 %"
    sure = f"difference {span}, Holm's p {p_value(each.p_adjusted)}"
    return f"{verb} test {_moves(plan, each)} ({sure})"


def _open_sentences(plan: Plan, comparisons: Sequence[Comparison]) -> list[str]:
    sentences = []
    for metric in plan.metrics:
        undecided = [each for each in comparisons if each.metric == metric and each.outcome == OPEN]
        spread = {each.family: each.detectable for each in undecided if each.detectable is not None}
        equal = [each for each in undecided if each.detectable is None]
        sentences += [_spread_sentence(plan, metric, spread)] if spread else []
        sentences += [_equal_sentence(plan, metric, equal)] if equal else []
    return sentences


def _spread_sentence(plan: Plan, metric: str, detectable: dict[str, float]) -> str:
    return (
        f"No difference in {label(plan, metric)} could be shown for {listed([*detectable])}: with the spread "
        f"between pairs seen here, a true one of {change(plan, metric, max(detectable.values()))} would have "
        f"been found with {100 * plan.power:.0f} % probability."
    )


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


def _fit_sentence(plan: Plan, arms: Sequence[ArmSummary]) -> list[str]:
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


def _caveats(
    plan: Plan,
    comparisons: Sequence[Comparison],
    arms: Sequence[ArmSummary],
    complete: int,
    stopped_early: bool,
) -> tuple[str, ...]:
    shared = (
        f"The pairs share rows, so the test is corrected for it (Nadeau and Bengio: {plan.overlap:.2f} added "
        "to 1/pairs); it is exact only at the correlation n_test / (n_train + n_test)."
    )
    notes = {
        f"Stopped early: {counted(complete, 'pair')} of {plan.pairs} complete.": stopped_early,
        shared: plan.overlap > 0,
        "No row is used by two pairs, so the plain paired t test holds.": plan.overlap == 0,
        "A change that could be shown need not be large enough to matter: look at its size.": any(
            each.outcome != OPEN for each in comparisons
        ),
        "Families were compared with none, not with one another.": True,
        "All arms had the same learning rate and the same number of epochs, without early stopping.": True,
        _failure_note(arms): any(each.failures for each in arms),
        _edge_note(plan, arms): _at_edge(plan, arms),
    }
    return tuple(note for note, applies in notes.items() if applies)


def _random_sentence(plan: Plan) -> list[str]:
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


def _failure_note(arms: Sequence[ArmSummary]) -> str:
    counts = [f"{each.arm.name} ({each.failures})" for each in arms if each.failures]
    return f"Failed runs, left out: {', '.join(counts)}."


def _at_edge(plan: Plan, arms: Sequence[ArmSummary]) -> list[str]:
    families = {family: [each.arm for each in arms if each.arm.family == family] for family in plan.families}
    favourites = {
        family: _favourite(plan, family, arms).arm for family, members in families.items() if members
    }
    largest = {family: max(arm.rate for arm in families[family]) for family in favourites}
    return [arm.name for family, arm in favourites.items() if arm.rate and arm.rate == largest[family]]


def _edge_note(plan: Plan, arms: Sequence[ArmSummary]) -> str:
    return (
        f"At the largest rate tried, so a larger one may do better still: {', '.join(_at_edge(plan, arms))}."
    )
