"""The pictures of a study: effects against none, score against rate, learning curves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from dropkit.report.record import ArmSummary, Comparison, Plan, Run, StudyResult
from dropkit.report.svg import DASHES, FAINT, INK, MARKERS, SERIES, Picture, axes_of
from dropkit.report.words import difference, factor, interval, label

__all__ = ["draw_curves", "draw_effects", "draw_rates"]

Curve = tuple[list[int], npt.NDArray[np.float64], npt.NDArray[np.float64]]
RatePoint = tuple[float, ArmSummary]

_ASIDE = 0.005  # of rate, so that bars at one rate do not hide one another


def _axis_name(plan: Plan, metric: str) -> str:
    unit = {"nll": " (nats)", "error": " (%)" if plan.unit == "%" else ""}[metric]
    return label(plan, metric) + unit


def draw_effects(result: StudyResult, metric: str) -> Picture | None:
    """Differences from `none` with their 95 % intervals, one row a family."""
    plan, scale = result.plan, factor(result.plan, metric)
    rows = [each for each in result.comparisons if each.metric == metric]
    if not rows:
        return None
    unit = "points" if scale == 100 else "nats" if metric == "nll" else "units of the target"
    with axes_of(0.9 + 0.42 * len(rows)) as (figure, axes):
        for at, each in enumerate(rows):
            _interval(axes, at, each, scale)
        axes.axvline(0, color=INK, linewidth=1)
        if margin := rows[0].margin:
            axes.axvspan(-scale * margin, scale * margin, color=FAINT, linewidth=0)
        axes.set_yticks(range(len(rows)), [each.family for each in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"change of test {label(plan, metric)} against none ({unit})")
        shade = "; shaded: within the margin" if rows[0].margin else ""
        title = f"Change of test {label(plan, metric)} against none (left of the line is better{shade})"
        words = "; ".join(_effect_words(plan, each) for each in rows)
        return Picture(f"effect-{metric}", title, words, figure)


def _interval(axes: Axes, at: int, each: Comparison, scale: float) -> None:
    colour, marker = SERIES[at % len(SERIES)], MARKERS[at % len(MARKERS)]
    if each.low is not None and each.high is not None:
        axes.plot([scale * each.low, scale * each.high], [at, at], color=colour, linewidth=2)
    axes.plot(scale * each.mean, at, marker, color=colour, markersize=7)


def _effect_words(plan: Plan, each: Comparison) -> str:
    return f"{each.family} {difference(plan, each)} ({interval(plan, each)})"


def draw_rates(result: StudyResult, metric: str) -> Picture | None:
    """Test score against rate, one line for each way of dropping, with standard errors over pairs."""
    plan, scale = result.plan, factor(result.plan, metric)
    lines = _rate_lines(result.arms)
    none = next((each for each in result.arms if each.arm.family == "none"), None)
    if not lines or none is None:
        return None
    level = scale * getattr(none.test, metric)
    with axes_of(3.4) as (figure, axes):
        for at, (name, points) in enumerate(lines.items()):
            _rate_line(axes, at, name, points, metric, scale)
        axes.axhline(level, color=INK, linewidth=1.2, linestyle=":", label="none")
        axes.set_xlabel("rate (share that is dropped)")
        axes.set_ylabel(f"test {_axis_name(plan, metric)}")
        axes.set_xlim(0, None)
        _legend(axes, 3)
        words = "; ".join(
            [f"none {level:.3g}", *(_rate_words(*line, metric, scale) for line in lines.items())]
        )
        title = f"Test {label(plan, metric)} against rate (bars: standard error over pairs, not corrected)"
        return Picture(f"rate-{metric}", title, words, figure)


def _rate_lines(arms: Sequence[ArmSummary]) -> dict[str, list[RatePoint]]:
    lines: dict[str, list[RatePoint]] = {}
    for each in arms:
        if rate := max(each.arm.rate, each.arm.input_rate):
            name = each.arm.place if each.arm.method == "dropout" else each.arm.family
            lines.setdefault(name, []).append((rate, each))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in lines.items()}


def _rate_line(axes: Axes, at: int, name: str, points: list[RatePoint], metric: str, scale: float) -> None:
    means = [scale * getattr(each.test, metric) for _, each in points]
    errors = [
        scale * getattr(each.test_sd, metric) / math.sqrt(each.runs) if each.test_sd else 0.0
        for _, each in points
    ]
    colour, marker = SERIES[(at + 1) % len(SERIES)], MARKERS[(at + 1) % len(MARKERS)]
    rates = [rate + _ASIDE * at for rate, _ in points]
    axes.plot(rates, means, color=colour, marker=marker, linestyle=DASHES[at % len(DASHES)], label=name)
    axes.errorbar(rates, means, errors, color=colour, linestyle="none", capsize=3, elinewidth=1)


def _rate_words(name: str, points: list[RatePoint], metric: str, scale: float) -> str:
    return f"{name}: " + ", ".join(f"{scale * getattr(e.test, metric):.3g} at {rate:g}" for rate, e in points)


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns)


def draw_curves(result: StudyResult, metric: str) -> Picture | None:
    """Learning curves of `none` and of each family's setting with the best mean select score."""
    plan, scale = result.plan, factor(result.plan, metric)
    curves = {name: _mean_curve(result.runs, name, metric, scale) for name in _shown_arms(result)}
    if not curves:
        return None
    with axes_of(3.6) as (figure, axes):
        for at, (name, curve) in enumerate(curves.items()):
            _curve(axes, at, name, curve)
        axes.set_xlabel("epoch")
        axes.set_ylabel(_axis_name(plan, metric))
        _cut_start(axes, list(curves.values()))
        _legend(axes, 2)
        title = (
            f"Learning curves, {label(plan, metric)} in eval mode (solid: select part, dotted: training part)"
        )
        words = "; ".join(
            f"{name}: {s[-1]:.3g} at the end, on training rows {t[-1]:.3g}"
            for name, (_, t, s) in curves.items()
        )
        return Picture(f"curve-{metric}", title, words, figure)


def _curve(axes: Axes, at: int, name: str, curve: Curve) -> None:
    epochs, train, select = curve
    colour, marker = INK if at == 0 else SERIES[(at - 1) % len(SERIES)], MARKERS[at % len(MARKERS)]
    step = max(len(epochs) // 5, 1)
    axes.plot(epochs, train, color=colour, linestyle=":", linewidth=1.2)
    axes.plot(epochs, select, color=colour, marker=marker, markevery=step, markersize=5, label=name)


def _cut_start(axes: Axes, curves: Sequence[Curve]) -> None:
    # The first epochs fall so far that the rest would be a flat line; what matters is the end.
    later = np.concatenate([part[len(part) // 10 + 1 :] for _, *parts in curves for part in parts])
    if later.size and np.ptp(later) > 0:
        room = 0.05 * float(np.ptp(later))
        axes.set_ylim(float(later.min()) - room, float(later.max()) + room)


def _shown_arms(result: StudyResult) -> list[str]:
    first = result.plan.metrics[0]
    families = ("none", *result.plan.families)
    groups = [[each for each in result.arms if each.arm.family == family] for family in families]
    return [
        min(group, key=lambda each: float(getattr(each.select, first))).arm.name for group in groups if group
    ]


def _mean_curve(runs: Sequence[Run], arm: str, metric: str, scale: float) -> Curve:
    curves = [run.curve for run in runs if run.arm == arm and run.curve]
    train = np.mean([[getattr(point.train, metric) for point in curve] for curve in curves], axis=0)
    select = np.mean([[getattr(point.select, metric) for point in curve] for curve in curves], axis=0)
    return [point.epoch for point in curves[0]], scale * train, scale * select
