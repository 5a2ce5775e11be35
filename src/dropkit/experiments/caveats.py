"""What a reader of the verdict must know: corrections, checks that disagree, pairs that carry a result."""

from __future__ import annotations

from collections.abc import Sequence

from dropkit.experiments.findings import Findings
from dropkit.experiments.inference import holm
from dropkit.experiments.task import epochs_of
from dropkit.report.record import BETTER, OPEN, WORSE, Comparison, Sealed
from dropkit.report.words import p_value

__all__ = ["caveats"]

_LARGE = 0.1  # of none's error: a margin above it hides what many would call a difference
_LONGEST = 0.95  # of the epochs that a network is allowed


def caveats(
    found: Findings, complete: int, *, stopped_early: bool = False, changed: Sequence[str] = ()
) -> tuple[str, ...]:
    """All that applies, the most important first."""
    say = found.words.say
    return (
        *([say("caveat.changed", what=say.listed(list(changed)))] if changed else []),
        *([_stopped(found, complete)] if stopped_early else []),
        *_look(found),
        *_sealed(found),
        *_carried(found),
        *_flips(found),
        *_design(found),
        *_margin(found),
        *([say("caveat.others")] if len(found.of(found.plan.metrics[0])) > 1 else []),
        *_edges(found),
        *_longest(found),
        *_failures(found),
    )


def _stopped(found: Findings, complete: int) -> str:
    """That it was stopped, and what that does to tests: the leading arms are shown while it runs."""
    say = found.words.say
    stopped = say("caveat.stopped", done=complete, pairs=say("count.pairs", n=found.plan.tests.pairs))
    tested = [say("caveat.stopped_tested")] if found.comparisons else []
    return say("sentences").join([stopped, *tested])


def _look(found: Findings) -> list[str]:
    """That intervals are wider where the comparison may end early."""
    if found.plan.tests.looks == 1 or not found.comparisons:
        return []
    level, all_looks = (
        f"{100 * (1 - alpha):g}" for alpha in (found.comparisons[0].alpha, found.plan.tests.alpha)
    )
    return [found.words.say("caveat.look", level=level, looks=found.plan.tests.looks, all=all_looks)]


def _sealed(found: Findings) -> list[str]:
    """The second interval, of the arm that is spoken of: does it meet that of the pairs, on the same side?

    Where the pairs have shown nothing there is nothing to agree with.
    """
    metric, named = found.plan.metrics[0], found.named()
    pairs = next((e for e in found.comparisons if e.arm == named and e.metric == metric), None)
    beside = next((e for e in found.sealed if e.arm == named and e.metric == metric), None)
    if pairs is None or beside is None or beside.low is None:
        return []
    words = found.words
    values = {
        "arm": words.arm(named),
        "score": words.label(metric),
        "difference": words.difference(beside),
        "interval": words.interval(beside),
    }
    return [words.say(f"sealed.{_agreement(pairs, beside)}", **values)]


def _agreement(pairs: Comparison, beside: Sealed) -> str:
    if not _meet(pairs, beside):
        return "disagrees"
    if pairs.outcome == OPEN:
        return "beside"
    return "other_way" if beside.mean is not None and pairs.mean * beside.mean < 0 else "agrees"


def _meet(pairs: Comparison, beside: Sealed) -> bool:
    low, high = (pairs.mean if end is None else end for end in (pairs.low, pairs.high))
    return beside.low is not None and beside.high is not None and low <= beside.high and beside.low <= high


def _carried(found: Findings) -> list[str]:
    """The pairs that carry the outcome of the arm that is spoken of."""
    carried = [each for each in found.comparisons if each.carried_by and each.arm == found.named()]
    return [_carried_by(found, each) for each in carried]


def _carried_by(found: Findings, each: Comparison) -> str:
    words = found.words
    outcome, label = words.say.name("outcome", each.outcome), words.label(each.metric)
    claim = words.say("caveat.claim", outcome=outcome, arm=words.arm(each.arm), score=label)
    if len(each.carried_by) == 1:
        return words.say("caveat.carried_one", pair=each.carried_by[0] + 1, claim=claim)
    named = words.say.listed([str(pair + 1) for pair in each.carried_by])
    return words.say("caveat.carried_many", pairs=named, claim=claim)


def _flips(found: Findings) -> list[str]:
    """Where the t test shows a difference and the sign flips do not, at the same correction."""
    checked = [each.p_flips for each in found.comparisons if each.p_flips is not None]
    if len(checked) < len(found.comparisons) or not checked:
        return []
    say, alpha = found.words.say, found.comparisons[0].alpha
    unsure = [
        say("caveat.flips_claim", arm=found.words.arm(e.arm), score=found.words.label(e.metric), p=p_value(p))
        for e, p in zip(found.comparisons, holm(checked), strict=True)
        if e.outcome in (BETTER, WORSE) and p >= alpha
    ]
    reach = 2.0 ** (1 - found.comparisons[0].pairs) * len(found.comparisons)
    key = "caveat.flips_never" if reach >= alpha else "caveat.flips"
    return [say(key, claims=say.listed(unsure))] if unsure else []


def _design(found: Findings) -> list[str]:
    """What the pairs share with one another, and with the search."""
    parts, say = found.plan.parts, found.words.say
    design = say(f"caveat.{parts.design}", overlap=f"{parts.overlap:.2f}")
    searched = not found.plan.arms and not parts.fresh
    return [design, *([say("caveat.seen")] if searched else [])]


def _margin(found: Findings) -> list[str]:
    words, metric = found.words, found.plan.metrics[0]
    if found.plan.tests.margin is None:
        shown = any(each.outcome != OPEN for each in found.comparisons)
        return [words.say("caveat.size")] if shown else []
    # The zero of a regression's NLL says nothing about what is large.
    has_zero = metric == "error" or found.plan.data.task == "classification"
    large = [e for e in found.of(metric) if has_zero and e.margin and e.margin > _LARGE * e.none]
    if not large:
        return [words.say("caveat.margin", margins=words.margins())]
    none = words.quantity(metric, large[0].none)
    return [words.say("caveat.margin_large", margins=words.margins(), score=words.label(metric), none=none)]


def _edges(found: Findings) -> list[str]:
    at_edge = [each for each in found.families if each.at_edge and each.finalist]
    arms = [found.words.at_edge(each) for each in at_edge]
    return [found.words.say("caveat.edge", arms=found.words.say.listed(arms))] if arms else []


def _longest(found: Findings) -> list[str]:
    # Each network of an ensemble has its share of the epochs, and none was allowed more.
    arms = [each.arm.name for each in found.arms if each.epochs >= _LONGEST * epochs_of(found.plan, each.arm)]
    return [found.words.say("caveat.longest", arms=found.words.arms(arms))] if arms else []


def _failures(found: Findings) -> list[str]:
    say = found.words.say
    counts = [
        say("in_scores", arm=found.words.arm(each.arm.name), scores=each.failures)
        for each in found.arms
        if each.failures
    ]
    return [say("caveat.failed", arms=say.listed(counts))] if counts else []
