"""One self-contained HTML page from a study's result: no scripts, no network."""

from __future__ import annotations

from collections.abc import Callable

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dropkit.report.figures import draw_curves, draw_effects, draw_rates
from dropkit.report.record import StudyResult
from dropkit.report.svg import Picture
from dropkit.report.terminal import plan_lines
from dropkit.report.words import (
    NOTHING,
    counted,
    difference,
    effect,
    interval,
    label,
    number,
    numbers,
    p_cell,
    wins,
)

__all__ = ["render_page"]

MAX_LISTED_RUNS = 3000


def render_page(result: StudyResult) -> str:
    """The page as text; sections without content are left out."""
    page = Environment(
        loader=PackageLoader("dropkit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters["picture"] = lambda picture: Markup(picture.svg)
    return page.get_template("study.html.j2").render(
        result=result,
        plan=result.plan,
        listed=result.runs[:MAX_LISTED_RUNS],
        effects=_pictures(result, draw_effects),
        rates=_pictures(result, draw_rates),
        curves=_pictures(result, draw_curves),
        counted=counted,
        difference=difference,
        effect=effect,
        label=label,
        nothing=NOTHING,
        number=number,
        numbers=numbers,
        interval=interval,
        p_cell=p_cell,
        plan_lines=plan_lines,
        wins=wins,
    )


def _pictures(result: StudyResult, draw: Callable[[StudyResult, str], Picture | None]) -> list[Picture]:
    return [picture for metric in result.plan.metrics if (picture := draw(result, metric))]
