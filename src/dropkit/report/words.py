"""How scores are named and written, the same in sentences, tables and figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields

from dropkit.report.messages import Messages, messages
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import Comparison, Family, Run, Sealed, StudyResult

__all__ = ["NOTHING", "Words", "counted", "listed", "p_cell", "p_value", "printable"]

NOTHING = "\N{EN DASH}"
"""Stands in a table where a figure cannot be given."""

_MOST_REASONS = 3
_MINUS = "\N{MINUS SIGN}"
_NAMES = frozenset(("name", "family"))


@dataclass(frozen=True)
class Words:
    """The scores of one plan in one language.

    Args:
        plan: says whether an error is a share of rows or in units of the target.
        lang: `en` or `zh`.
    """

    plan: Plan
    lang: str = "en"

    @property
    def say(self) -> Messages:
        """The messages of the language."""
        return messages(self.lang)

    def label(self, metric: str) -> str:
        """Name of a score: `error`, `RMSE` or `NLL`, or that of a metric of the user's own."""
        if metric == "error" and self.plan.tests.name:
            return self.plan.tests.name
        return self.say(f"score.{'rmse' if metric == 'error' and self.plan.unit != '%' else metric}")

    def arm(self, name: str) -> str:
        """Name of an arm or a family; a trial of the search has that of its family and a number."""
        family, _, number = name.rpartition(" ")
        if number.isdecimal() and f"arm.{family}" in self.say.texts:
            return f"{self.say.name('arm', family)} {number}"
        return self.say.name("arm", name)

    def method(self, name: str) -> str:
        """Name of a method of the catalogue."""
        return self.arm(name.replace("_", " "))

    def arms(self, names: list[str]) -> str:
        """Names of arms as a list."""
        return self.say.listed([self.arm(name) for name in names])

    def setting(self, name: str, value: object) -> str:
        """One entry of an arm with its value."""
        if value is True:
            return self.say(f"setting.{name}")
        if name == "method":
            value = self.method(str(value))
        if isinstance(value, tuple):
            value = self.say("list.comma").join(value)
        text = f"{value:.3g}" if isinstance(value, float) else self.say.name(name, str(value))
        return self.say("setting.value", name=self.say(f"setting.{name}"), value=text)

    def settings(self, arm: Arm) -> str:
        """All entries of an arm that are not at their default."""
        values = {each.name: getattr(arm, each.name) for each in fields(Arm) if each.name not in _NAMES}
        default = Arm(arm.name, arm.family)
        told = [
            self.setting(name, value) for name, value in values.items() if value != getattr(default, name)
        ]
        return self.say("list.comma").join(told) or NOTHING

    def at_edge(self, family: Family) -> str:
        """A family with the entries whose best value lies at an end of what was searched."""
        if family.best is None:
            return self.arm(family.name)
        told = [self.setting(name, getattr(family.best, name)) for name in family.at_edge]
        return self.say("bracket", text=self.arm(family.name), inside=self.say("list.comma").join(told))

    def failures(self, runs: Iterable[Run]) -> list[str]:
        """Why runs failed, the commonest reasons first, each with its count and the arms that it struck."""
        struck: dict[str, Counter[str]] = {}
        for run in runs:
            if run.failure:
                struck.setdefault(self.say.note(run.failure), Counter())[self.arm(run.arm)] += 1
        reasons = sorted(struck.items(), key=lambda item: -item[1].total())[:_MOST_REASONS]
        return [
            self.say(
                "failed_runs",
                n=arms.total(),
                arms=self.say.listed([arm for arm, _ in arms.most_common()], _MOST_REASONS),
                why=why,
            )
            for why, arms in reasons
        ]

    def factor(self, metric: str) -> float:
        """What a score is multiplied by to be read: 100 for per cent."""
        return 100.0 if metric == "error" and self.plan.unit == "%" else 1.0

    def number(self, metric: str, value: float) -> str:
        """A score without its unit: three places for NLL, per cent for errors, four digits for RMSE."""
        scaled = self.factor(metric) * value
        return _write(scaled, self._places(metric, [scaled]))

    def numbers(self, metric: str, *values: float) -> list[str]:
        """Scores with equally many places: enough to show how far they lie apart, and which side of zero."""
        scaled = [self.factor(metric) * value for value in values]
        places = self._shared_places(metric, scaled)
        return [_write(value, places) for value in scaled]

    def with_spread(self, metric: str, value: float, sd: float | None) -> str:
        """A score and its standard deviation in equally many places; a dash where one run leaves none."""
        scale = self.factor(metric)
        places = self._places(metric, [scale * value])
        return f"{_write(scale * value, places)} ± {NOTHING if sd is None else _write(scale * sd, places)}"

    def quantity(self, metric: str, value: float) -> str:
        """A score with its unit."""
        return self.number(metric, value) + self._unit(metric)

    def move(self, metric: str, before: float, after: float) -> str:
        """Two scores with their unit, in so many places that their difference can be seen."""
        old, new = self.quantities(metric, before, after)
        return self.say("move", old=old, new=new)

    def quantities(self, metric: str, *values: float) -> list[str]:
        """Scores with their unit, in so many places that their difference can be seen."""
        return [text + self._unit(metric) for text in self.numbers(metric, *values)]

    def change(self, metric: str, value: float) -> str:
        """A difference of scores, without sign: points for errors."""
        (text,) = self.numbers(metric, abs(value))
        return self.say("points", n=text) if self.factor(metric) == 100 else text

    def difference(self, each: Comparison | Sealed) -> str:
        """The mean difference, in as many places as its interval has, or a dash where there is none."""
        if each.mean is None:
            return NOTHING
        scale = self.factor(each.metric)
        ends = [scale * end for end in (each.low, each.high) if end is not None] or [scale * each.mean]
        return _write(scale * each.mean, self._shared_places(each.metric, ends))

    def interval(self, each: Comparison | Sealed) -> str:
        """The 95 % interval of a difference, or a dash where all pairs were equal and left no spread."""
        if each.low is None or each.high is None:
            return NOTHING
        low, high = self.numbers(each.metric, each.low, each.high)
        return self.say("interval", low=low, high=high)

    def effect(self, each: Comparison) -> str:
        """The effect size with its 95 % interval, or a dash where all pairs were equal."""
        if each.effect is None or each.effect_low is None or each.effect_high is None:
            return NOTHING
        span = self.say("interval", low=_write(each.effect_low, 2), high=_write(each.effect_high, 2))
        return self.say("bracket", text=_write(each.effect, 2), inside=span)

    def effect_size(self, each: Comparison) -> str:
        """The mean over the standard deviation of the paired differences, or a dash where all were equal."""
        return NOTHING if each.effect is None else _write(each.effect, 2)

    def wins(self, each: Comparison) -> str:
        """In how many pairs the arm was better than none; ties count half."""
        return self.say("of", n=f"{each.wins * each.pairs:g}", all=each.pairs)

    def margins(self) -> str:
        """What the margin of equivalence means for each score that has one; empty where it is off."""
        margin = self.plan.tests.margin
        if margin is None:
            return ""
        share, none = f"{100 * margin:g}", self.arm("none")
        if self.plan.unit == "%":
            return self.say("margin.classes", n=100 * margin, share=share, none=none)
        if self.plan.data.task == "regression":
            nats = f"{math.log1p(margin):.2g}"
            return self.say("margin.values", share=share, none=none, score=self.label("error"), nats=nats)
        scores = self.say.listed([self.label(metric) for metric in self.plan.metrics], end="or")
        return self.say("margin.shares", share=share, none=none, scores=scores)

    def time(self, seconds: float) -> str:
        """A duration: seconds up to 100 of them, then minutes."""
        if seconds < 100:
            return self.say("page.seconds", n=f"{seconds:.0f}")
        return self.say("page.minutes", n=f"{seconds / 60:.1f}")

    def cost(self, result: StudyResult) -> str:
        """How many runs it took, how long, and how often the sealed part was opened."""
        return self.say(
            "page.cost_line" if result.openings else "page.cost_unsealed",
            runs=self.say("count.runs", n=len(result.runs)),
            time=self.time(result.seconds),
            times=self.say("count.times", n=result.openings),
        )

    def _unit(self, metric: str) -> str:
        return " %" if self.factor(metric) == 100 else ""

    def _shared_places(self, metric: str, scaled: list[float]) -> int:
        places = self._places(metric, scaled)
        gaps = [abs(a - b) for a in scaled for b in scaled if a != b]
        small = [abs(value) for value in scaled if 0 < abs(value) < 0.5 * 10.0**-places]
        # An end of an interval next to zero is worth two places more, not ten.
        sides = min(places + 2, _places_for(min(small))) if small else places
        apart = _places_for(min(gaps) / 2) if gaps else places
        return max(places, sides, apart)

    def _places(self, metric: str, scaled: list[float]) -> int:
        if metric == "nll":
            return 3
        if self.plan.unit == "%":
            return 2
        largest = max(map(abs, scaled))
        return max(0, 3 - math.floor(math.log10(largest))) if largest else 0


def _places_for(step: float) -> int:
    return math.ceil(-math.log10(step))


def _write(value: float, places: int) -> str:
    return f"{value:z.{places}f}".replace("-", _MINUS)


def p_value(p: float) -> str:
    """A p value with its sign.

    >>> p_value(0.0001), p_value(0.034)
    ('< 0.001', '= 0.034')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def p_cell(p: float | None) -> str:
    """A p value for a table.

    >>> p_cell(0.00001), p_cell(0.034), p_cell(None) == NOTHING
    ('< 0.0001', '0.0340', True)
    """
    if p is None:
        return NOTHING
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def listed(words: list[str]) -> str:
    """Words as an English list, for messages of refusal.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return messages("en").listed(words)


def counted(count: int, noun: str) -> str:
    """A number with its English noun, in the plural where it belongs.

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
