"""Promise 11: the verdicts of the study err no more often than they say."""

from __future__ import annotations

from scipy import stats

from dropkit.experiments.power import Design
from dropkit.experiments.simulate import Errors, Truth, at_looks, errors
from tools.prove.proof import Measured

__all__ = ["DESIGNS", "design", "gate", "looks", "other_correlations", "other_tails"]

STUDIES = 20_000
COMPARISONS = 12
"""Five finalists and the model as brought, in two scores."""
SHARED = 0.15 / 0.70
"""Test rows over training rows in a study that redraws its splits from all rows."""

DESIGNS = [(pairs, overlap) for overlap in (0.0, SHARED) for pairs in (6, 10, 20, 30)]

_RATE, _SURE = 0.05, 0.95
_COVERAGE, _POWER = (0.94, 0.96), (0.78, 0.82)
_HIGHER, _USUAL = 0.06, 0.044  # a rate that must not pass, and the largest that was seen

_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0)
_TAILS = (3.0, 5.0)


def design(pairs: int, overlap: float, studies: int = STUDIES) -> Measured:
    """Simulate studies of one design: wrong claims, coverage of intervals, power at the stated effect."""
    found = errors(Design(pairs, overlap, COMPARISONS), studies)
    wrong = (found.false_difference, found.false_equivalent, found.false_no_better)
    holds = all(_within(count, studies) for count in wrong)
    holds &= _COVERAGE[0] <= found.covered / studies <= _COVERAGE[1]
    holds &= _POWER[0] <= found.found / studies <= _POWER[1]
    return Measured(holds, f"{pairs} pairs, {_rows(overlap)}, {studies:,} studies: {_figures(found)}")


def other_correlations(pairs: int = 10, studies: int = STUDIES) -> Measured:
    """Report the errors where pairs go together less, or more, than the correction assumes.

    The promise is that of a smaller correlation; a larger one is reported, since nothing can promise it.
    """
    assumed, plan = SHARED / (1 + SHARED), Design(pairs, SHARED, COMPARISONS)
    counts = {
        factor: errors(plan, studies, Truth(correlation=factor * assumed)).false_difference
        for factor in _FACTORS
    }
    holds = all(_within(count, studies) for factor, count in counts.items() if factor <= 1)
    rates = ", ".join(
        f"{_percent(count, studies)} at {factor * assumed:.2f}" for factor, count in counts.items()
    )
    return Measured(
        holds, f"{pairs} pairs, {_rows(SHARED)}: any false difference {rates} (assumed: {assumed:.2f})"
    )


def other_tails(pairs: int = 10, studies: int = STUDIES) -> Measured:
    """Differences that are not normal but t distributed with few degrees of freedom."""
    plan = Design(pairs, 0.0, COMPARISONS)
    found = {freedom: errors(plan, studies, Truth(freedom=freedom)) for freedom in _TAILS}
    holds = all(
        _within(max(each.false_difference, each.false_equivalent), studies) for each in found.values()
    )
    rates = "; ".join(
        f"t with {freedom:g} degrees of freedom: any false difference "
        f"{_percent(each.false_difference, studies)}, false equivalent "
        f"{_percent(each.false_equivalent, studies)}, coverage {_percent(each.covered, studies)}"
        for freedom, each in found.items()
    )
    return Measured(holds, f"{pairs} pairs, {_rows(0.0)}, heavy tails: {rates}")


def looks(overlap: float, pairs: int = 12, studies: int = STUDIES) -> Measured:
    """Studies that may end early: a claim at any of two, three or four looks, and intervals at the end."""
    plan = Design(pairs, overlap, COMPARISONS)
    found = {number: at_looks(plan, number, studies) for number in (2, 3, 4)}
    rates = "; ".join(
        f"with {number} any false difference {_percent(each.false_difference, studies)}, "
        f"{_percent(each.early, studies)} ended early, coverage {_percent(each.covered, studies)} "
        f"(of intervals that do not know of looks {_percent(each.covered_unadjusted, studies)})"
        for number, each in found.items()
    )
    holds = all(
        _within(each.false_difference, studies) and each.covered / studies >= 0.94 for each in found.values()
    )
    return Measured(holds, f"{pairs} pairs, {_rows(overlap)}, several looks: {rates}")


def gate(studies: int = STUDIES) -> Measured:
    """The rule by which all this holds, and how often the rule itself errs."""
    most = max(count for count in range(studies // 10) if _within(count, studies))
    passes = float(stats.binom.cdf(most, studies, _HIGHER))
    alarm = float(stats.binom.sf(most, studies, _USUAL))
    return Measured(
        passes < 1 - _SURE,
        f"the rule: the one-sided 95 % upper bound (Clopper and Pearson) of a rate of false claims in "
        f"{studies:,} studies is at most 5 %, so at most {most} claims; a true rate of {_HIGHER:.0%} "
        f"would pass with probability {passes:.0e}, one of {_USUAL:.1%} fail with {alarm:.1%}; "
        "coverage must be seen at 94 to 96 %, power at 78 to 82 %",
    )


def _within(count: int, studies: int) -> bool:
    """Whether the one-sided 95 % upper bound (Clopper and Pearson) excludes a rate above 5 %."""
    bound = stats.binomtest(count, studies, alternative="less").proportion_ci(_SURE).high
    return bool(bound <= _RATE)


def _rows(overlap: float) -> str:
    return f"n_test / n_train {overlap:.2f} shared" if overlap else "no row shared"


def _figures(found: Errors) -> str:
    figures = {
        "any false better": found.false_better,
        "any false difference": found.false_difference,
        "(plain t test of one comparison": found.plain_difference,
        "any false equivalent at the margin's edge": found.false_equivalent,
        "any false no better there": found.false_no_better,
        "coverage": found.covered,
        "power at the stated effect": found.found,
    }
    told = [f"{name} {_percent(count, found.studies)}" for name, count in figures.items()]
    return ", ".join(told).replace(", (", " (").replace(", any false equivalent", "), any false equivalent")


def _percent(count: int, studies: int) -> str:
    return f"{100 * count / studies:.2f} %"
