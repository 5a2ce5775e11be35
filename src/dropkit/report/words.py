"""How scores are named and written, the same in sentences, tables and figures."""

from __future__ import annotations

import math

from dropkit.report.record import Comparison, Plan

__all__ = [
    "NOTHING",
    "change",
    "counted",
    "difference",
    "effect",
    "effect_size",
    "factor",
    "interval",
    "label",
    "listed",
    "margins",
    "move",
    "number",
    "numbers",
    "p_cell",
    "p_value",
    "places",
    "printable",
    "quantity",
    "wins",
    "with_spread",
]

NOTHING = "\N{EN DASH}"
"""Stands in a table where a figure cannot be given."""

_MINUS = "\N{MINUS SIGN}"
_MOST_NAMES = 8


def label(plan: Plan, metric: str) -> str:
    """Name of a score: `error`, `RMSE` or `NLL`."""
    if metric == "nll":
        return "NLL"
    return "error" if plan.unit == "%" else "RMSE"


def factor(plan: Plan, metric: str) -> float:
    """What a score is multiplied by to be read: 100 for per cent."""
    return 100.0 if metric == "error" and plan.unit == "%" else 1.0


def number(plan: Plan, metric: str, value: float) -> str:
    """A score without its unit: three places for NLL, per cent for errors, four digits for RMSE."""
    scaled = factor(plan, metric) * value
    return _write(scaled, _places(plan, metric, [scaled]))


def numbers(plan: Plan, metric: str, *values: float) -> list[str]:
    """Scores with equally many places: enough to show how far they lie apart, and which side of zero."""
    scaled = [factor(plan, metric) * value for value in values]
    places = _shared_places(plan, metric, scaled)
    return [_write(value, places) for value in scaled]


def _shared_places(plan: Plan, metric: str, scaled: list[float]) -> int:
    places = _places(plan, metric, scaled)
    gaps = [abs(a - b) for a in scaled for b in scaled if a != b]
    small = [abs(value) for value in scaled if 0 < abs(value) < 0.5 * 10.0**-places]
    # An end of an interval next to zero is worth two places more, not ten.
    sides = min(places + 2, _places_for(min(small))) if small else places
    apart = _places_for(min(gaps) / 2) if gaps else places
    return max(places, sides, apart)


def _places(plan: Plan, metric: str, scaled: list[float]) -> int:
    if metric == "nll":
        return 3
    if plan.unit == "%":
        return 2
    largest = max(map(abs, scaled))
    return max(0, 3 - math.floor(math.log10(largest))) if largest else 0


def _places_for(step: float) -> int:
    return math.ceil(-math.log10(step))


def _write(value: float, places: int) -> str:
    return f"{value:z.{places}f}".replace("-", _MINUS)


def with_spread(plan: Plan, metric: str, value: float, sd: float | None) -> str:
    """A score and its standard deviation in equally many places; a dash where one run leaves none."""
    scale = factor(plan, metric)
    places = _places(plan, metric, [scale * value])
    return f"{_write(scale * value, places)} ± {NOTHING if sd is None else _write(scale * sd, places)}"


def quantity(plan: Plan, metric: str, value: float) -> str:
    """A score with its unit."""
    return number(plan, metric, value) + _unit(plan, metric)


def _unit(plan: Plan, metric: str) -> str:
    return " %" if factor(plan, metric) == 100 else ""


def move(plan: Plan, metric: str, before: float, after: float) -> str:
    """Two scores with their unit, in so many places that their difference can be seen."""
    ends = (text + _unit(plan, metric) for text in numbers(plan, metric, before, after))
    return "from {} to {}".format(*ends)


def change(plan: Plan, metric: str, value: float) -> str:
    """A difference of scores, without sign: points for errors."""
    (text,) = numbers(plan, metric, abs(value))
    return text + (" points" if factor(plan, metric) == 100 else "")


def difference(plan: Plan, comparison: Comparison) -> str:
    """The mean difference, in as many places as its interval has."""
    ends = [comparison.low, comparison.high]
    scale = factor(plan, comparison.metric)
    scaled = [scale * end for end in ends if end is not None] or [scale * comparison.mean]
    return _write(scale * comparison.mean, _shared_places(plan, comparison.metric, scaled))


def interval(plan: Plan, comparison: Comparison) -> str:
    """The 95 % interval of a difference, or a dash where all pairs were equal and left no spread."""
    if comparison.low is None or comparison.high is None:
        return NOTHING
    return "{} to {}".format(*numbers(plan, comparison.metric, comparison.low, comparison.high))


def effect_size(comparison: Comparison) -> str:
    """The mean over the standard deviation of the paired differences, or a dash where all were equal."""
    return NOTHING if comparison.effect is None else _write(comparison.effect, 2)


def effect(comparison: Comparison) -> str:
    """The effect size with its 95 % interval, or a dash where all pairs were equal."""
    low, high = comparison.effect_low, comparison.effect_high
    if low is None or high is None:
        return NOTHING
    return f"{effect_size(comparison)} ({_write(low, 2)} to {_write(high, 2)})"


def wins(comparison: Comparison) -> str:
    """In how many pairs the family was better than none; ties count half."""
    return f"{comparison.wins * comparison.pairs:g} of {comparison.pairs}"


def margins(plan: Plan) -> list[str]:
    """What the margin of equivalence means for each score that has one."""
    if plan.margin is None:
        return []
    share = f"{100 * plan.margin:g}"
    if plan.unit == "%":
        return [f"{share} points of error", f"{share} % of none's NLL"]
    return [f"{share} % of none's RMSE"]


def p_value(p: float) -> str:
    """A p value with its sign.

    >>> p_value(0.0001), p_value(0.034)
    ('< 0.001', '= 0.034')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def p_cell(p: float) -> str:
    """A p value for a table.

    >>> p_cell(0.00001), p_cell(0.034)
    ('< 0.0001', '0.0340')
    """
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def places(plan: Plan) -> list[str]:
    """Which methods stand behind which modules, one sentence for each list of modules."""
    behind: dict[tuple[str, ...], list[str]] = {}
    for method, names in plan.sites.items():
        behind.setdefault(names, []).append(method)
    return [f"{listed(methods)} stand behind: {', '.join(names)}" for names, methods in behind.items()]


def listed(words: list[str], most: int = _MOST_NAMES) -> str:
    """Words with commas and a final "and"; of a long list only the first.

    >>> listed(["a", "b", "c"]), listed(["a", "b", "c", "d"], most=2)
    ('a, b and c', 'a, b and 2 more')
    """
    if len(words) > most:
        words = [*words[:most], f"{len(words) - most} more"]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where it belongs.

    >>> counted(1, "pair"), counted(6, "pair")
    ('1 pair', '6 pairs')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str, limit: int | None = None) -> str:
    r"""Text from strangers with control characters escaped, cut to `limit` characters.

    >>> printable("a\x1b[31mb"), printable("abcdefgh", 6)
    ('a\\x1b[31mb', 'abc...')
    """
    safe = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return safe if limit is None or len(safe) <= limit else f"{safe[: limit - 3]}..."
