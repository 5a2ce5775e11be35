"""The pictures of learning: curves over epochs, scores by share of the rows, and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from dropkit.report.figures import axis_name
from dropkit.report.plan import AS_BROUGHT, NONE
from dropkit.report.record import StudyResult
from dropkit.report.svg import DASHES, INK, MARKERS, SERIES, Picture, axes_of, legend_above
from dropkit.report.words import Words

__all__ = ["draw_calibration", "draw_curves", "draw_fit"]


@dataclass(frozen=True)
class _Curve:
    epochs: list[int]
    train: list[float]
    stop: list[float]


def draw_curves(result: StudyResult, words: Words, metric: str) -> Picture | None:
    """Learning curves of none, of the model as brought, and of what is recommended or came nearest."""
    scale, say = words.factor(metric), words.say
    curves = {name: _mean_curve(result, name, metric, scale) for name in _shown(result)}
    curves = {name: curve for name, curve in curves.items() if curve.epochs}
    if not curves:
        return None
    with axes_of(3.6) as (figure, axes):
        for at, (name, curve) in enumerate(curves.items()):
            _draw_curve(axes, at, words.arm(name), curve)
        axes.set_xlabel(say("figure.epoch"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))  # there is no epoch and a half
        axes.set_ylabel(axis_name(words, metric))
        _cut_start(axes, list(curves.values()))
        legend_above(axes, 2)
        title = say("figure.curve", score=words.label(metric))
        told = "; ".join(_curve_words(words, name, curve) for name, curve in curves.items())
        return Picture(f"curve-{metric}", title, told, figure)


def _shown(result: StudyResult) -> list[str]:
    metric, arms = result.plan.metrics[0], {each.arm.name: each for each in result.arms}
    tried = [name for name in arms if name not in (NONE, AS_BROUGHT)]
    best = min(tried, key=lambda name: float(getattr(arms[name].select, metric)), default=NONE)
    told = result.verdict.recommended
    names = (NONE, AS_BROUGHT, best if told == NONE else told)
    return [name for name in dict.fromkeys(names) if name in arms]


def _mean_curve(result: StudyResult, arm: str, metric: str, scale: float) -> _Curve:
    """Means over the runs of an arm, as long as at least half of them train."""
    runs = [run for run in result.runs if run.arm == arm and run.curve and not result.plan.screens(run.pair)]
    points: dict[int, list[tuple[float, float]]] = {}
    for run in runs:
        for point in run.curve:
            points.setdefault(point.epoch, []).append(
                (getattr(point.train, metric), getattr(point.stop, metric))
            )
    kept = {
        epoch: np.mean(each, axis=0) for epoch, each in sorted(points.items()) if 2 * len(each) >= len(runs)
    }
    return _Curve(
        [*kept], [scale * float(t) for t, _ in kept.values()], [scale * float(s) for _, s in kept.values()]
    )


def _draw_curve(axes: Axes, at: int, name: str, curve: _Curve) -> None:
    colour, marker = INK if at == 0 else SERIES[at - 1], MARKERS[at]
    step = max(len(curve.epochs) // 5, 1)
    axes.plot(curve.epochs, curve.train, color=colour, linestyle=":", linewidth=1.2)
    axes.plot(curve.epochs, curve.stop, color=colour, marker=marker, markevery=step, markersize=5, label=name)


def _cut_start(axes: Axes, curves: Sequence[_Curve]) -> None:
    # The first epochs fall so far that the rest would be a flat line; what matters is the end.
    parts = [part for curve in curves for part in (curve.train, curve.stop)]
    later = np.concatenate([part[len(part) // 10 + 1 :] for part in parts])
    if later.size and np.ptp(later) > 0:
        room = 0.05 * float(np.ptp(later))
        axes.set_ylim(float(later.min()) - room, float(later.max()) + room)


def _curve_words(words: Words, name: str, curve: _Curve) -> str:
    ends = {"stop": f"{curve.stop[-1]:.3g}", "train": f"{curve.train[-1]:.3g}"}
    return words.say("figure.curve_row", arm=words.arm(name), **ends)


def draw_fit(result: StudyResult, words: Words, metric: str) -> Picture | None:
    """Question zero: none's score by the share of the training rows, on these and on new ones."""
    fit = result.fit
    if fit is None or not fit.shares:
        return None
    scale, say = words.factor(metric), words.say
    shares = [100 * share for share in fit.shares]
    lines = {
        name: [scale * getattr(each, metric) for each in part]
        for name, part in (("training", fit.train), ("new", fit.select))
    }
    with axes_of(3.0) as (figure, axes):
        for at, (name, scores) in enumerate(lines.items()):
            label, colour = say(f"figure.{name}"), SERIES[at]
            axes.plot(shares, scores, label=label, color=colour, marker=MARKERS[at], linestyle=DASHES[at])
        axes.set_xlabel(say("figure.share"))
        axes.set_ylabel(axis_name(words, metric))
        axes.set_xlim(0, None)
        legend_above(axes, 2)
        rows = zip(shares, lines["training"], lines["new"], strict=True)
        told = [say("figure.fit_row", share=f"{s:g}", train=f"{t:.3g}", new=f"{n:.3g}") for s, t, n in rows]
        title = say("figure.fit", score=words.label(metric))
        return Picture(f"fit-{metric}", title, "; ".join(told), figure)


def draw_calibration(result: StudyResult, words: Words) -> Picture | None:
    """How many predictions hold, by stated probability: none and what is recommended, on the sealed part."""
    if not result.calibration:
        return None
    say = words.say
    with axes_of(3.6) as (figure, axes):
        axes.plot([0, 100], [0, 100], color=INK, linewidth=1, linestyle=":")
        for at, each in enumerate(result.calibration):
            confidence, accuracy = ([100 * v for v in part] for part in (each.confidence, each.accuracy))
            label = say("figure.calibration_label", arm=words.arm(each.arm), error=f"{100 * each.error:.1f}")
            axes.plot(confidence, accuracy, label=label, color=SERIES[at], marker=MARKERS[at])
        axes.set_xlabel(say("figure.confidence"))
        axes.set_ylabel(say("figure.accuracy"))
        legend_above(axes, 1)
        told = [
            say("figure.calibration_row", arm=words.arm(each.arm), error=f"{100 * each.error:.1f}")
            for each in result.calibration
        ]
        return Picture("calibration", say("figure.calibration"), "; ".join(told), figure)
