"""What trackers are given: the numbers of a run and of a study, each under a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from dropkit.report.plan import Plan
from dropkit.report.record import Run, Scores, StudyResult

__all__ = ["curve_numbers", "effect_numbers", "plan_words", "run_numbers", "stage_of", "words_of"]


def curve_numbers(run: Run) -> Iterator[tuple[str, float, int]]:
    """Name, value and epoch of every point of a learning curve."""
    for point in run.curve:
        for part, scores in (("train", point.train), ("stop", point.stop)):
            for name, value in _named(part, scores).items():
                yield name, value, point.epoch


def run_numbers(run: Run) -> dict[str, float]:
    """What a run ended with: the scores of the select part, the epochs kept, steps and seconds.

    >>> run_numbers(Run("plan", "none", 0, 2.5, epochs=4, steps=40, select=Scores(0.25, 0.5)))
    {'select/error': 0.25, 'select/nll': 0.5, 'epochs': 4, 'steps': 40, 'seconds': 2.5}
    """
    scores = {} if run.select is None else _named("select", run.select)
    return scores | {"epochs": run.epochs, "steps": run.steps, "seconds": run.seconds}


def effect_numbers(result: StudyResult) -> dict[str, float]:
    """The difference from none of every arm and score: mean, ends of the 95 % interval, Holm's p."""
    found: dict[str, float] = {}
    for each in result.comparisons:
        for name in ("mean", "low", "high", "p_adjusted"):
            if (value := getattr(each, name)) is not None:
                found[f"{each.metric}/{each.arm}/{name}"] = float(value)
    return found


def plan_words(plan: Plan) -> dict[str, str]:
    """The entries of a plan as text, by `section.entry`."""
    found: dict[str, str] = {}
    for section, entries in asdict(plan).items():
        if isinstance(entries, dict):
            found |= {f"{section}.{name}": _text(value) for name, value in entries.items()}
        elif section not in ("arms", "notes", "estimate"):
            found[section] = _text(entries)
    return found


def stage_of(plan: Plan, run: Run) -> str:
    """Whether a run is of the `search` for settings or of the comparison, `compare`."""
    return "search" if plan.screens(run.pair) else "compare"


def words_of(result: StudyResult) -> str:
    """The verdict in Markdown: headline, sentences, caveats."""
    verdict = result.verdict
    return "\n\n".join((f"**{verdict.headline}**", *verdict.sentences, *verdict.caveats))


def _named(part: str, scores: Scores) -> dict[str, float]:
    return {f"{part}/error": scores.error, f"{part}/nll": scores.nll}


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | dict) else str(value)
