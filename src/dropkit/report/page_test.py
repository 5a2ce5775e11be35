import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from dropkit.report.page import render_page
from dropkit.report.record import StudyResult

# Elements that HTML lets stand without an end.
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Outline(HTMLParser):
    """Tags that stay open, ids, and whatever would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        links = [given.get(name) or "" for name in ("src", "href", "xlink:href", "data", "srcset")]
        self.loaded += [link for link in links if link and not link.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    seen = Outline()
    seen.feed(page)
    assert seen.open == []
    return seen


def test_the_page_is_whole_and_loads_nothing(result: StudyResult) -> None:
    page = render_page(result)
    seen = outline(page)
    assert seen.tags["script"] == 0
    assert seen.loaded == []
    assert not re.search(r"@import|url\((?!#)", page)
    assert len(page.encode()) < 500_000


def test_every_picture_is_named_and_told_in_words(result: StudyResult) -> None:
    page = render_page(result)
    seen = outline(page)
    assert seen.tags["svg"] == seen.tags["figure"] == 6
    named = re.findall(r'<svg role="img" aria-labelledby="(\S+) (\S+)"', page)
    assert len(named) == 6
    assert {name for pair in named for name in pair} <= set(seen.ids)
    assert len(set(seen.ids)) == len(seen.ids)
    for link in re.findall(r'(?:xlink:href="|url\()#([^")]+)', page):
        assert link in seen.ids


def test_the_page_says_verdict_caveats_and_every_run(result: StudyResult) -> None:
    page = render_page(result)
    assert result.verdict.headline.replace("'", "&#39;") in page
    assert result.plan.fingerprint in page
    assert page.count("<tr>") + page.count('<tr class="better">') >= len(result.runs) + len(result.arms)


def test_the_margin_is_shaded_and_named_where_there_is_one(result: StudyResult) -> None:
    off = tuple(
        replace(each, margin=None, p_equivalent=None, p_no_better=None) for each in result.comparisons
    )
    pages = [render_page(result), render_page(replace(result, comparisons=off))]
    assert ["shaded: within the margin" in page for page in pages] == [True, False]


def test_pictures_follow_the_page_in_dark_and_light(result: StudyResult) -> None:
    page = render_page(result)
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "var(--ink)" in drawn
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", drawn)) <= {"#000000", "#ffffff"}


def test_names_from_strangers_are_escaped(renamed: Callable[[str], StudyResult]) -> None:
    page = render_page(renamed("<script>alert('x')</script>&"))
    assert outline(page).tags["script"] == 0


def test_empty_sections_hide(without_pairs: StudyResult) -> None:
    page = render_page(without_pairs)
    assert outline(page).tags["svg"] == 0
    assert "Score against rate" not in page
    assert "All settings" not in page


def test_a_failed_run_is_listed_with_its_reason(result: StudyResult) -> None:
    failure = "DivergedError: the training loss became nan"
    broken = replace(result.runs[0], select=None, test=None, curve=(), failure=failure)
    assert failure in render_page(replace(result, runs=(broken, *result.runs[1:])))


def test_what_cannot_be_measured_is_a_dash(result: StudyResult) -> None:
    none: dict[str, Any] = {
        "low": None,
        "high": None,
        "detectable": None,
        "effect_low": None,
        "effect_high": None,
    }
    equal = replace(result.comparisons[0], **none)
    single = replace(result.arms[0], test_sd=None, runs=1)
    page = render_page(
        replace(result, comparisons=(equal, *result.comparisons[1:]), arms=(single, *result.arms[1:]))
    )
    rows = re.findall(rf'<th scope="row">{equal.family}</th>\n<td>error</td>.*?</tr>', page, re.DOTALL)
    # Interval and detectable effect; effect size, and sign flips, which rows that are shared forbid.
    assert [row.count("<td>–</td>") for row in rows] == [2, 2]
    assert page.count('<td class="soft">–</td>') == 2
