"""The sentences of a verdict: one for each kind of finding; the numbers are in the tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dropkit.experiments.findings import Findings
from dropkit.experiments.power import MOST_PAIRS
from dropkit.report.plan import AS_BROUGHT, NONE
from dropkit.report.record import BETTER, EQUIVALENT, NO_BETTER, OPEN, WORSE, ArmSummary, Comparison

__all__ = ["sentences"]


def sentences(found: Findings) -> tuple[str, ...]:
    """What was shown, what was not and what it would take, what to keep, how well it fits and its cost."""
    return (
        *_random(found),
        *_shown(found),
        *_not_shown(found),
        *_without_spread(found),
        *_brought(found),
        *_fit(found),
        *_cost(found),
    )


def _random(found: Findings) -> list[str]:
    say, modes = found.words.say, found.plan.model.random_modes
    return [say("fit.random", modes=say.listed([say.name("mode", mode) for mode in modes]))] if modes else []


def _shown(found: Findings) -> list[str]:
    shown = {outcome: _tried(found, outcome) for outcome in (BETTER, WORSE, EQUIVALENT, NO_BETTER)}
    return [
        found.words.say(f"shown.{outcome}", arms=_in_scores(found, each))
        for outcome, each in shown.items()
        if each
    ]


def _tried(found: Findings, outcome: str) -> list[Comparison]:
    return [each for metric in found.plan.metrics for each in found.of(metric) if each.outcome == outcome]


def _in_scores(found: Findings, comparisons: Iterable[Comparison]) -> str:
    """Arms as a list, each with the scores it is about."""
    scores: dict[str, list[str]] = {}
    for each in comparisons:
        scores.setdefault(each.arm, []).append(found.words.label(each.metric))
    say = found.words.say
    named = [
        say("in_scores", arm=found.words.arm(arm), scores=say("list.comma").join(labels))
        for arm, labels in scores.items()
    ]
    return say.listed(named)


def _not_shown(found: Findings) -> list[str]:
    """Which differences would have been seen, and what more pairs would do."""
    unsure = [each for metric in found.plan.metrics for each in found.open(metric)]
    if not unsure:
        return []
    power = f"{100 * found.plan.tests.power:.0f}"
    sizes = _sizes(found, {each.metric: each.detectable or 0.0 for each in _largest(unsure)})
    told = [found.words.say("shown.open", arms=_in_scores(found, unsure), sizes=sizes, power=power)]
    promising = [each for metric in found.plan.metrics for each in found.promising(metric)]
    decided = [each for each in promising if each.more_pairs is not None]
    if decided:
        pairs = found.words.say("count.more_pairs", n=max(each.more_pairs or 0 for each in decided))
        return [*told, found.words.say("shown.decide", pairs=pairs, arms=_in_scores(found, decided))]
    return [*told, *([_why_never(found, promising)] if promising else [])]


def _largest(unsure: Sequence[Comparison]) -> list[Comparison]:
    return sorted(unsure, key=lambda each: each.detectable or 0.0)


def _sizes(found: Findings, sizes: dict[str, float]) -> str:
    words = found.words
    named = [
        words.say("shown.size", size=words.change(metric, sizes[metric]), score=words.label(metric))
        for metric in found.plan.metrics
        if metric in sizes
    ]
    return words.say.listed(named, end="or")


def _why_never(found: Findings, unsure: Sequence[Comparison]) -> str:
    plan, say = found.plan, found.words.say
    if plan.parts.overlap:
        floors = {each.metric: plan.tests.floor * each.sd for each in sorted(unsure, key=lambda e: -e.sd)}
        return say("shown.never_shared", sizes=_sizes(found, floors))
    if plan.room is not None and plan.room < MOST_PAIRS:
        return say("shown.never_room", pairs=say("count.pairs", n=plan.room))
    return say("shown.never_most", pairs=say("count.pairs", n=MOST_PAIRS))


def _without_spread(found: Findings) -> list[str]:
    equal = [each for each in _tried(found, OPEN) if not each.sd]
    return [found.words.say("shown.equal", arms=_in_scores(found, equal))] if equal else []


def _brought(found: Findings) -> list[str]:
    """Whether to keep the model as it was brought, where the headline does not say so."""
    told = [each for metric in found.plan.metrics if (each := found.brought(metric))]
    if not told or found.recommended() == AS_BROUGHT:
        return []
    # What is open or equal in the score that decides is no reason to keep what is worse in the other.
    each = next((each for each in told if each.outcome in (BETTER, WORSE)), told[0])
    words = found.words
    after = each.none + each.mean
    values = {
        "score": words.label(each.metric),
        "move": words.move(each.metric, each.none, after),
        "back": words.move(each.metric, after, each.none),
        "near": "" if each.margin is None else words.change(each.metric, each.margin),
    }
    return [words.say(f"brought.{each.outcome}", **values)]


def _fit(found: Findings) -> list[str]:
    """Question zero: what none learned, what it does on new rows, and what more data would do."""
    none, words = found.summary(NONE), found.words
    if none is None:
        return []
    key = "facts_random" if found.plan.model.random_modes else "facts"
    facts = words.say(
        f"fit.{key}",
        score=words.label("error"),
        learnt=words.quantity("error", none.train.error),
        new=words.quantity("error", none.select.error),
    )
    return [words.say("sentences").join([facts, *_guess(found)]), *_more_data(found)]


def _guess(found: Findings) -> list[str]:
    """What a guess would give, where the error is not a metric of the user's own."""
    data, words = found.plan.data, found.words
    if found.plan.tests.name:
        return []
    kind = words.say("fit.class" if data.task == "classification" else "fit.mean")
    return [words.say("fit.guess", guess=kind, guessed=words.quantity("error", data.guess_error))]


def _more_data(found: Findings) -> list[str]:
    metric, gain = found.plan.metrics[0], found.more_data()
    if gain is None:
        return []
    best = max((-each.mean for each in found.of(metric)), default=0.0)
    values = {"score": found.words.label(metric), "gain": found.words.change(metric, gain)}
    return [found.words.say("fit.data_more" if gain > best else "fit.data", **values)]


def _cost(found: Findings) -> list[str]:
    """Steps and seconds of what is recommended, or came nearest to it, and how it does in equal time."""
    arm, none = found.summary(found.named()), found.summary(NONE)
    if arm is None or none is None or arm is none:
        return []
    values = {
        "arm": found.words.arm(arm.arm.name),
        "seconds": f"{arm.seconds:.3g}",
        "steps": f"{arm.steps:.0f}",
        "seconds_none": f"{none.seconds:.3g}",
        "steps_none": f"{none.steps:.0f}",
    }
    return [
        found.words.say("sentences").join(
            [found.words.say("cost.facts", **values), *_in_time(found, arm, none)]
        )
    ]


def _in_time(found: Findings, arm: ArmSummary, none: ArmSummary) -> list[str]:
    words, metric = found.words, found.plan.metrics[0]
    if arm.at_equal_time is None:
        return []
    scores = (getattr(arm.at_equal_time, metric), getattr(none.stop, metric))
    there, here = words.quantities(metric, *scores)
    told = {"arm": words.arm(arm.arm.name), "score": words.label(metric)}
    steps = "more" if arm.arm.members > found.plan.training.epochs else "equal"
    return [words.say(f"cost.{steps}_steps"), words.say("cost.equal_time", there=there, here=here, **told)]
