"""One self-contained HTML page from a study's result: no scripts, no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dropkit.methods import catalogue
from dropkit.report.curves import draw_calibration, draw_curves, draw_fit
from dropkit.report.dots import draw_runs
from dropkit.report.figures import draw_effects, draw_rates
from dropkit.report.messages import RAISED
from dropkit.report.paste import code_to_paste
from dropkit.report.places import places_of
from dropkit.report.plan_text import plan_lines
from dropkit.report.record import StudyResult
from dropkit.report.repeat import repeat_of
from dropkit.report.spread import thinned
from dropkit.report.svg import Picture
from dropkit.report.words import NOTHING, Words, p_cell

__all__ = ["render", "render_page"]

MAX_LISTED_RUNS = 1000
_FILE = "model.safetensors"
_WEIGHTS = f"""
# {{comment}}
# from dropkit.experiments.weights import load_weights
# load_weights(model, "{_FILE}")
"""


def render(template: str, lang: str, **values: Any) -> str:
    """A page from one of the templates; all text is escaped but that of pictures."""
    page = Environment(
        loader=PackageLoader("dropkit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A sign of per cent stays on the line of its number.
    page.filters["firm"] = lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")
    page.filters["picture"] = lambda picture: Markup(picture.svg)
    return page.get_template(template).render(
        lang=lang, nothing=NOTHING, p_cell=p_cell, raised=RAISED, **values
    )


def render_page(result: StudyResult, lang: str = "en") -> str:
    """The page as text; sections without content are left out.

    Args:
        result: of the study; its verdict was written in the language of then.
        lang: `en` or `zh`, of all the rest.

    Raises:
        DropkitError: there is no such language.
    """
    words = Words(result.plan, lang)
    first, second = result.plan.metrics
    return render(
        "study.html.j2",
        lang,
        result=result,
        plan=result.plan,
        words=words,
        say=words.say,
        effect=draw_effects(result, words, first),
        other_effect=draw_effects(result, words, second),
        rates=_pictures(result, words, draw_rates),
        curves=_pictures(result, words, draw_curves),
        fits=_pictures(result, words, draw_fit),
        dots=_listed(draw_runs(result, words, first)),
        calibration=_listed(draw_calibration(result, words)),
        paste=_paste(result, lang),
        places=places_of(result),
        sealed={(each.arm, each.metric): each for each in result.sealed},
        edges=[words.at_edge(each) for each in result.families if each.at_edge],
        untested=_untested(result, words),
        plan_lines=plan_lines(result.plan, lang),
        failures=tuple(words.failures(result.runs)),
        repeat=repeat_of(result.settings),
        listed=thinned(result.runs, MAX_LISTED_RUNS),
    )


Draw = Callable[[StudyResult, Words, str], Picture | None]


def _pictures(result: StudyResult, words: Words, draw: Draw) -> list[Picture]:
    return [picture for metric in result.plan.metrics if (picture := draw(result, words, metric))]


def _listed(picture: Picture | None) -> list[Picture]:
    return [picture] if picture else []


def _paste(result: StudyResult, lang: str) -> str:
    arms = {each.arm.name: each.arm for each in result.arms}
    arm = arms.get(result.verdict.recommended)
    if not arm or not result.comparisons:
        return ""
    weights = _WEIGHTS.format(comment=Words(result.plan, lang).say("paste.weights"))
    return code_to_paste(result.plan, arm, lang) + weights * (_FILE in result.files)


def _untested(result: StudyResult, words: Words) -> list[str]:
    """Families that were searched but not compared, and methods that stand nowhere in this model."""
    say, plan = words.say, result.plan
    left = [words.arm(each.name) for each in result.families if not each.finalist and each.name != "none"]
    absent = [
        words.method(name)
        for name, method in catalogue().items()
        if method.study and name not in plan.model.sites and name != "input_dropout"
    ]
    join = say("list.comma").join
    return [
        *([say("page.untested_families", arms=join(left))] if left else []),
        *([say("page.untested_search")] if plan.arms else []),
        *([say("page.untested_methods", methods=join(absent))] if absent else []),
    ]
