"""The pictures of what was compared: effects against none, and score against rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from dropkit.report.plan import NONE, Arm
from dropkit.report.record import ArmSummary, Comparison, Sealed, StudyResult
from dropkit.report.spread import cut_off, thinned, trial_scores
from dropkit.report.svg import FAINT, INK, MARKERS, SERIES, SOFT, Picture, axes_of, legend_above
from dropkit.report.words import Words

__all__ = ["axis_name", "draw_effects", "draw_rates"]

_BESIDE = 0.26  # of a row: how far the sealed interval lies below that of the pairs
_MOST_POINTS = 600


def axis_name(words: Words, metric: str) -> str:
    """A score with its unit, for an axis."""
    unit = {"nll": words.say("figure.unit_nats"), "error": "%" if words.plan.unit == "%" else ""}[metric]
    label = words.label(metric)
    return words.say("figure.score_axis", score=label, unit=unit) if unit else label


def draw_effects(result: StudyResult, words: Words, metric: str) -> Picture | None:
    """Differences from `none` with their 95 % intervals, one row an arm; the sealed interval below it."""
    rows = [each for each in result.comparisons if each.metric == metric]
    if not rows:
        return None
    sealed = {each.arm: each for each in result.sealed if each.metric == metric and each.mean is not None}
    scale, say = words.factor(metric), words.say
    with axes_of(1.1 + (0.52 if sealed else 0.42) * len(rows)) as (figure, axes):
        for at, each in enumerate(rows):
            _interval(axes, at, each, scale, 0)
            if each.arm in sealed:
                _interval(axes, at + _BESIDE, sealed[each.arm], scale, 1)
        axes.axvline(0, color=INK, linewidth=1)
        if margin := rows[0].margin:
            axes.axvspan(-scale * margin, scale * margin, color=FAINT, linewidth=0)
        axes.set_yticks([at + _BESIDE / 2 * bool(sealed) for at in range(len(rows))])
        axes.set_yticklabels([words.arm(each.arm) for each in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", nbins=6)  # small differences have long numbers
        unit = "points" if scale == 100 else "nats" if metric == "nll" else "target"
        unit, label = say(f"figure.unit_{unit}"), words.label(metric)
        own = metric == "error" and words.plan.tests.name
        axes.set_xlabel(say("figure.effect_plain" if own else "figure.effect_unit", score=label, unit=unit))
        _name_lines(axes, words, sealed=bool(sealed))
        title = say("figure.effect", score=label)
        if rows[0].margin:
            title = say("joined", one=title, other=say("figure.margin"))
        told = "; ".join(_effect_words(words, each, sealed.get(each.arm)) for each in rows)
        return Picture(f"effect-{metric}", title, told, figure)


def _interval(axes: Axes, at: float, each: Comparison | Sealed, scale: float, colour: int) -> None:
    if each.low is not None and each.high is not None:
        axes.plot([scale * each.low, scale * each.high], [at, at], color=SERIES[colour], linewidth=2)
    if each.mean is not None:
        axes.plot(scale * each.mean, at, MARKERS[colour], color=SERIES[colour], markersize=7 - 2 * colour)


def _name_lines(axes: Axes, words: Words, *, sealed: bool) -> None:
    if not sealed:
        return
    for colour, name in enumerate(("select", "sealed")):
        label = words.say(f"figure.{name}")
        axes.plot([], [], color=SERIES[colour], marker=MARKERS[colour], linewidth=2, label=label)
    legend_above(axes, 2)


def _effect_words(words: Words, each: Comparison, sealed: Sealed | None) -> str:
    told = {
        "arm": words.arm(each.arm),
        "difference": words.difference(each),
        "interval": words.interval(each),
    }
    if sealed is None:
        return words.say("figure.effect_row", **told)
    beside = {"sealed": words.difference(sealed), "sealed_interval": words.interval(sealed)}
    return words.say("figure.effect_sealed", **told, **beside)


@dataclass(frozen=True)
class _RatePoint:
    rate: float
    each: ArmSummary


def _rate(arm: Arm) -> float:
    return max(arm.rate, arm.input_rate)


def draw_rates(result: StudyResult, words: Words, metric: str) -> Picture | None:
    """Score against rate: settings of the search in grey, those that were compared with standard errors."""
    points = [_RatePoint(_rate(each.arm), each) for each in result.arms if _rate(each.arm)]
    scores = trial_scores(result, metric)
    grey = [(_rate(arm), scores[arm.name]) for arm in result.tried if arm.name in scores and _rate(arm)]
    none = next((each for each in result.arms if each.arm.name == NONE), None)
    if none is None or not (points or grey):
        return None
    scale, say = words.factor(metric), words.say
    level = scale * getattr(none.select, metric)
    with axes_of(3.8) as (figure, axes):
        _search_points(axes, grey, scale, say("figure.rate_search"))
        for at, point in enumerate(points):
            _rate_point(axes, at, point, words, metric)
        axes.axhline(level, color=INK, linewidth=1.2, linestyle=":", label=words.arm(NONE))
        axes.set_xlabel(say("figure.rate_axis"))
        axes.set_ylabel(axis_name(words, metric))
        axes.set_xlim(0, None)
        outside = cut_off(
            axes.set_ylim, [scale * score for _, score in grey], _ends(points, metric, scale, level)
        )
        legend_above(axes, 3)
        title = say("figure.rate", score=words.label(metric))
        if outside:
            title = say("joined", one=title, other=say("figure.outside", n=outside))
        told = [
            _rate_words(words, words.arm(p.each.arm.name), p.rate, getattr(p.each.select, metric), metric)
            for p in points
        ]
        told = [_rate_words(words, words.arm(NONE), 0.0, getattr(none.select, metric), metric), *told]
        return Picture(f"rate-{metric}", title, "; ".join(told), figure)


def _search_points(axes: Axes, grey: Sequence[tuple[float, float]], scale: float, label: str) -> None:
    drawn = thinned(grey, _MOST_POINTS)
    if drawn:
        rates, scores = [rate for rate, _ in drawn], [scale * score for _, score in drawn]
        axes.plot(rates, scores, "o", color=SOFT, markersize=3.5, markeredgewidth=0, label=label)


def _rate_point(axes: Axes, at: int, point: _RatePoint, words: Words, metric: str) -> None:
    scale = words.factor(metric)
    colour, marker = SERIES[at % len(SERIES)], MARKERS[at % len(MARKERS)]
    sd = getattr(point.each.select_sd, metric) if point.each.select_sd else 0.0
    error = scale * sd / math.sqrt(point.each.runs)
    mean = scale * getattr(point.each.select, metric)
    label = words.arm(point.each.arm.name)
    axes.plot(point.rate, mean, marker, color=colour, markersize=8, label=label)
    axes.errorbar(point.rate, mean, error, color=colour, capsize=3, elinewidth=1)


def _ends(points: Sequence[_RatePoint], metric: str, scale: float, level: float) -> list[float]:
    means = [(scale * getattr(p.each.select, metric), p.each.select_sd) for p in points]
    spread = [scale * getattr(sd, metric) if sd else 0.0 for _, sd in means]
    return [
        level,
        *(m + s for (m, _), s in zip(means, spread, strict=True)),
        *(m - s for (m, _), s in zip(means, spread, strict=True)),
    ]


def _rate_words(words: Words, arm: str, rate: float, score: float, metric: str) -> str:
    return words.say("figure.rate_row", arm=arm, score=words.number(metric, score), rate=f"{rate:.3g}")
