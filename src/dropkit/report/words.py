"""How scores are named and written, the same in sentences, tables and figures."""

from __future__ import annotations

from dropkit.report.record import Comparison, Plan

__all__ = ["change", "interval", "label", "listed", "number", "p_value", "quantity"]

_MINUS = "\N{MINUS SIGN}"


def label(plan: Plan, metric: str) -> str:
    """Name of a score: `error`, `RMSE` or `NLL`."""
    if metric == "nll":
        return "NLL"
    return "error" if plan.unit == "%" else "RMSE"


def number(plan: Plan, metric: str, value: float) -> str:
    """A score without its unit: three places for NLL, per cent for errors, four digits for RMSE."""
    percent = metric == "error" and plan.unit == "%"
    text = f"{100 * value:.2f}" if percent else f"{value:.3f}" if metric == "nll" else f"{value:.4g}"
    return text.replace("-", _MINUS)


def quantity(plan: Plan, metric: str, value: float) -> str:
    """A score with its unit."""
    unit = " %" if metric == "error" and plan.unit == "%" else ""
    return number(plan, metric, value) + unit


def change(plan: Plan, metric: str, value: float) -> str:
    """A difference of scores, without sign: points for errors."""
    unit = " points" if metric == "error" and plan.unit == "%" else ""
    return number(plan, metric, abs(value)) + unit


def interval(plan: Plan, comparison: Comparison) -> str:
    """The 95 % interval of a difference."""
    low, high = (number(plan, comparison.metric, end) for end in (comparison.low, comparison.high))
    return f"{low} to {high}"


def p_value(p: float) -> str:
    """A p value with its sign.

    >>> p_value(0.0001), p_value(0.034)
    ('< 0.001', '= 0.034')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def listed(words: list[str]) -> str:
    """Words with commas and a final "and".

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
