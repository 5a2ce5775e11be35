"""The answer in plain sentences; "take none" and "not enough evidence" are two of them."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.experiments.caveats import caveats
from dropkit.experiments.findings import Findings
from dropkit.experiments.sentences import sentences
from dropkit.report.plan import AS_BROUGHT, NONE, Plan
from dropkit.report.record import (
    EQUIVALENT,
    NO_BETTER,
    OPEN,
    WORSE,
    ArmSummary,
    Comparison,
    Family,
    Fit,
    Sealed,
    Verdict,
)
from dropkit.report.words import Words

__all__ = ["judge"]


def judge(
    plan: Plan,
    comparisons: Sequence[Comparison],
    arms: Sequence[ArmSummary],
    families: Sequence[Family] = (),
    fit: Fit | None = None,
    sealed: Sequence[Sealed] = (),
    *,
    complete_pairs: int,
    stopped_early: bool = False,
    changed: Sequence[str] = (),
    lang: str = "en",
) -> Verdict:
    """Headline, sentences and caveats; `none` is recommended unless something was shown to be better.

    The headline is one short sentence, or two.

    Args:
        plan: what was decided before.
        comparisons: every arm against none in both scores; those of the first score decide.
        arms: means of the arms.
        families: what the search found.
        fit: the answer to question zero.
        sealed: the second intervals.
        complete_pairs: how many pairs are done.
        stopped_early: whether that is fewer than planned.
        changed: what differs from the plan that was registered first.
        lang: `en` or `zh`.

    Raises:
        DropkitError: there is no such language.
    """
    words = Words(plan, lang)
    found = Findings(plan, tuple(comparisons), tuple(arms), tuple(families), fit, tuple(sealed), words)
    notes = caveats(found, complete_pairs, stopped_early=stopped_early, changed=changed)
    if not comparisons:
        waiting = words.say("headline.waiting", pairs=words.say("count.pairs", n=complete_pairs))
        return Verdict(waiting, sentences(found), notes, NONE)
    second = _second(found)
    headline = words.say("sentences").join(part for part in (_first(found), second) if part)
    return Verdict(headline, sentences(found), notes, found.recommended())


def _first(found: Findings) -> str:
    best, taken = found.best(found.plan.metrics[0]), found.taken(found.plan.metrics[0])
    return _gain(found, best, taken) if best and taken else _no_gain(found)


def _gain(found: Findings, best: Comparison, taken: Comparison) -> str:
    words, metric = found.words, taken.metric
    keep = taken.arm == AS_BROUGHT
    values = {
        "arm": words.arm(taken.arm),
        "score": words.label(metric),
        "move": words.move(metric, taken.none, taken.none + taken.mean),
    }
    if taken is best or best.margin is None:
        return words.say("headline.keep" if keep else "headline.best", **values)
    beside = {"best": words.arm(best.arm), "near": words.change(metric, best.margin)}
    return words.say("headline.keep_simpler" if keep else "headline.simpler", **values, **beside)


def _no_gain(found: Findings) -> str:
    metric = found.plan.metrics[0]
    outcomes = {each.outcome for each in found.of(metric)}
    near = next((found.words.change(metric, e.margin) for e in found.of(metric) if e.margin), "")
    key = "unsure"
    if outcomes <= {EQUIVALENT, NO_BETTER, WORSE}:
        key = {frozenset({EQUIVALENT}): "equivalent", frozenset({WORSE}): "worse"}.get(
            frozenset(outcomes), "no_gain"
        )
    return found.words.say(f"headline.{key}", score=found.words.label(metric), near=near)


def _second(found: Findings) -> str:
    """What matters most beside the first sentence: another score, too small a network, pairs, data."""
    first, second = found.plan.metrics
    taken, beside, say = found.taken(first), found.taken(second), found.words.say
    if taken:
        return _price(found, taken.arm) or _more_data(found)
    if beside:
        return _but(found, "but", beside)
    if found.underfits():
        return say("headline.underfits")
    return _outlook(found) or _more_data(found)


def _price(found: Findings, arm: str) -> str:
    """What is taken for the first score and is worse than none in the second."""
    second = found.plan.metrics[1]
    worse = [e for e in found.comparisons if (e.arm, e.metric, e.outcome) == (arm, second, WORSE)]
    return _but(found, "price", worse[0]) if worse else ""


def _but(found: Findings, key: str, beside: Comparison) -> str:
    words, metric = found.words, beside.metric
    matter = "nll" if metric == "nll" else "score"
    return words.say(
        f"headline.{key}",
        arm=words.arm(beside.arm),
        score=words.label(metric),
        move=words.move(metric, beside.none, beside.none + beside.mean),
        matter=words.say(f"matter.{matter}", score=words.label(metric)),
    )


def _more_data(found: Findings) -> str:
    metric, gain = found.plan.metrics[0], found.more_data()
    best = max((-each.mean for each in found.of(metric)), default=0.0)
    if gain is None or gain <= best:
        return ""
    return found.words.say("headline.more_data", gain=found.words.change(metric, gain))


def _outlook(found: Findings) -> str:
    """What more pairs would do about what looks better but is not shown; empty where all is decided."""
    metric, say = found.plan.metrics[0], found.words.say
    unsure = found.promising(metric)
    counts = [each.more_pairs for each in unsure if each.more_pairs is not None]
    if not counts:
        equal = any(each.outcome == OPEN for each in found.of(metric))
        never = say("headline.never", score=found.words.label(metric))
        return never if unsure else say("headline.simplest") if equal else ""
    pairs = say("count.more_pairs", n=max(counts))
    if len(counts) == len(unsure):
        return say("headline.more", pairs=pairs)
    return say("headline.some", pairs=pairs, n=len(counts), all=len(unsure))
