"""All runs as points, one row an arm or a family of the search."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from dropkit.report.figures import axis_name
from dropkit.report.record import StudyResult
from dropkit.report.spread import cut_off, thinned
from dropkit.report.svg import INK, SERIES, SOFT, Picture, axes_of
from dropkit.report.words import Words

__all__ = ["MOST_POINTS", "draw_runs"]

MOST_POINTS = 1500
"""More are thinned, each row in its proportion."""

_HEIGHT = 0.3  # inches a row
_SWAY = 0.6  # of a row, over which the points of many pairs are spread


def draw_runs(result: StudyResult, words: Words, metric: str) -> Picture | None:
    """Select scores of single runs: the arms compared in colour, the families of the search in grey."""
    compared, searched = _rows(result, metric)
    if not compared and not searched:
        return None
    scale, say = words.factor(metric), words.say
    rows = [*compared.items(), *searched.items()]
    share = min(1.0, MOST_POINTS / sum(len(scores) for _, scores in rows))
    points = 0
    with axes_of(0.9 + _HEIGHT * len(rows)) as (figure, axes):
        for at, (_, scores) in enumerate(rows):
            colour = SERIES[0] if at < len(compared) else SOFT
            drawn = thinned(sorted(scores), max(round(share * len(scores)), 2))
            points += len(drawn)
            _draw_row(axes, at, [scale * score for score in drawn], colour)
        if compared and searched:
            axes.axhline(len(compared) - 0.5, color=INK, linewidth=1, gid="parting")
        axes.set_yticks(range(len(rows)))
        axes.set_yticklabels([words.arm(name) for name, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(axis_name(words, metric))
        whole, loose = (
            [scale * s for scores in part.values() for s in scores] for part in (compared, searched)
        )
        outside = cut_off(axes.set_xlim, loose, whole)
        title = say("figure.runs", score=words.label(metric))
        total = len(whole) + len(loose)
        notes = [
            *([say("figure.thinned", n=points, all=total)] if points < total else []),
            *([say("figure.outside", n=outside)] if outside else []),
        ]
        for note in notes:
            title = say("joined", one=title, other=note)
        told = "; ".join(
            _row_words(words, metric, name, scores, search=at >= len(compared))
            for at, (name, scores) in enumerate(rows)
        )
        return Picture(f"runs-{metric}", title, told, figure)


def _rows(result: StudyResult, metric: str) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Scores by arm, and by family for the runs of the search."""
    families = {arm.name: arm.family for arm in result.tried}
    compared: dict[str, list[float]] = {each.arm.name: [] for each in result.arms}
    searched: dict[str, list[float]] = {}
    for run in result.runs:
        if run.select is None or run.paused:
            continue
        score = float(getattr(run.select, metric))
        if result.plan.screens(run.pair):
            searched.setdefault(families.get(run.arm, run.arm), []).append(score)
        else:
            compared.setdefault(run.arm, []).append(score)
    return {name: scores for name, scores in compared.items() if scores}, searched


def _draw_row(axes: Axes, at: int, scores: Sequence[float], colour: str) -> None:
    # Neighbours are laid at different heights, so that equal scores are seen as many.
    heights = [at + _SWAY * ((7 * k % 10) / 10 - 0.45) for k in range(len(scores))]
    axes.plot(scores, heights, "o", color=colour, markersize=3.5, markeredgewidth=0, alpha=0.7)


def _row_words(words: Words, metric: str, name: str, scores: Sequence[float], *, search: bool) -> str:
    low, high = words.numbers(metric, min(scores), max(scores))
    arm = words.arm(name)
    if search:
        arm = words.say("in_scores", arm=arm, scores=words.say("figure.rate_search"))
    return words.say("figure.runs_row", arm=arm, n=len(scores), low=low, high=high)
