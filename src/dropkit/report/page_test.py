import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from tests import made_up

from dropkit.report.messages import RAISED, Note, messages
from dropkit.report.messages_test import placeholders
from dropkit.report.page import render_page
from dropkit.report.plan import FIRST_SCREENING
from dropkit.report.record import Run, Scores, StudyResult

# Elements that HTML lets stand without an end.
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Outline(HTMLParser):
    """Tags that stay open, ids, headings, attributes of tags, and whatever would be loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.headings: list[int] = []
        self.scopes: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        given = dict(attrs)
        self.ids += [given["id"] or ""] if "id" in given else []
        links = [given.get(name) or "" for name in ("src", "href", "xlink:href", "data", "srcset")]
        self.loaded += [link for link in links if link and not link.startswith("#")]
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.scopes += [given.get("scope")] if tag == "th" else []
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


@pytest.fixture(scope="module")
def page(result: StudyResult) -> str:
    return render_page(result)


def test_the_page_is_whole_and_loads_nothing(page: str) -> None:
    seen = outline(page)
    assert seen.tags["script"] == 0
    assert seen.loaded == []
    assert not re.search(r"@import|url\((?!#)", page)


def test_ten_thousand_runs_leave_it_below_two_megabytes() -> None:
    result = made_up.study(trials=417)
    assert len(result.runs) > 10_000
    page = render_page(result)
    assert len(page.encode()) < 2_000_000
    assert f"1000 of {len(result.runs)} runs as a table" in page
    assert f"of {len(result.runs)} are drawn" in page


def test_every_picture_is_named_and_told_in_words(page: str) -> None:
    seen = outline(page)
    assert seen.tags["svg"] == seen.tags["figure"] == 10
    named = re.findall(r'<svg role="img" aria-labelledby="(\S+) (\S+)"', page)
    assert len(named) == 10
    assert {name for pair in named for name in pair} <= set(seen.ids)
    assert len(set(seen.ids)) == len(seen.ids)
    for link in re.findall(r'(?:xlink:href="|url\()#([^")]+)', page):
        assert link in seen.ids


def test_a_screen_reader_finds_headings_in_order_and_heads_of_tables(page: str) -> None:
    seen = outline(page)
    assert seen.headings[0] == 1
    assert seen.headings.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(seen.headings, seen.headings[1:], strict=False))
    assert seen.tags["caption"] == seen.tags["table"] == 7
    assert set(seen.scopes) == {"col", "row"}


def test_the_first_screen_has_verdict_effects_cost_and_caveats(page: str, result: StudyResult) -> None:
    order = [
        result.verdict.headline.replace(" %", "\N{NO-BREAK SPACE}%"),
        'id="effect-error-title"',
        "runs in 1.7 min; the sealed part was opened once.",
        result.verdict.caveats[-1],
        "<h2>What the verdict rests on</h2>",
        result.verdict.sentences[0],
        "<h2>The code to paste</h2>",
    ]
    places = [page.index(each) for each in order]
    assert places == sorted(places)


def test_sealed_intervals_stand_beside_those_of_the_pairs(result: StudyResult) -> None:
    with_sealed, without = render_page(result), render_page(replace(result, sealed=()))
    assert "the best two combined: −2.00 (−2.64 to −1.36), sealed −1.60 (−2.50 to −0.70)" in with_sealed
    assert "the best two combined: −2.00 (−2.64 to −1.36)<" in without


def test_the_edge_is_warned_of_beside_the_rates(result: StudyResult, page: str) -> None:
    assert 'class="edge">Best at an end of what was searched' in page
    inside = tuple(replace(each, at_edge=()) for each in result.families)
    assert 'class="edge"' not in render_page(replace(result, families=inside))


def test_scores_of_the_search_are_spoken_of_where_there_was_one(
    page: str, bare: StudyResult, result: StudyResult
) -> None:
    assert "Grey points are settings of the search, scored on " in page
    given = render_page(replace(bare, arms=result.arms))
    assert "Grey points" not in given
    assert "bars are standard errors" in given


def test_no_part_of_a_printed_page_is_larger_than_its_text_asks_for(page: str) -> None:
    assert ":root { font-size: 10pt; }" in page
    assert not re.search(r"(font|font-size): [\d.]+px", page[: page.index("</style>")])


def test_the_file_of_weights_is_spoken_of_where_there_is_one(
    page: str, bare: StudyResult, result: StudyResult
) -> None:
    assert "# load_weights(model, &#34;model.safetensors&#34;)" in page
    without = render_page(replace(bare, arms=result.arms, files={}))
    assert "train_step" in without
    assert "load_weights" not in without


def test_what_was_not_tested_is_named(page: str) -> None:
    assert "so not compared: L1, max-norm, label smoothing, augmentation, Gaussian dropout" in page
    assert re.search("not tried in this model: .*spatial dropout", page)


def test_the_margin_is_shaded_and_named_where_there_is_one(bare: StudyResult, page: str) -> None:
    off = tuple(replace(each, margin=None, p_equivalent=None, p_no_better=None) for each in bare.comparisons)
    pages = [page, render_page(replace(bare, comparisons=off))]
    assert ["shaded: within the margin" in each for each in pages] == [True, False]


def test_pictures_follow_the_page_in_dark_and_light(page: str) -> None:
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.DOTALL))
    assert "var(--ink)" in drawn
    assert "var(--grey)" in drawn
    assert set(re.findall(r"#[0-9a-fA-F]{6}\b", drawn)) <= {"#000000", "#ffffff"}


def test_no_english_sentence_stands_on_a_chinese_page(chinese: StudyResult) -> None:
    page = render_page(chinese, "zh")
    assert '<html lang="zh-CN">' in page
    text = re.sub(r"<style>.*?</style>|<pre.*?</pre>|<!--.*?-->", "", page, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", "\n", text)
    assert re.findall(r"[A-Za-z]+ [a-z]+ [a-z]+", text) == []
    labels = re.findall(r'aria-label="([^"]*)"', page)
    assert all(re.search("[\u4e00-\u9fff]", label) for label in labels)


def of_kind(kind: str) -> list[Note]:
    """Every note of a kind, filled in with numbers."""
    texts = messages("en").texts
    return [
        Note(key, dict.fromkeys(placeholders(texts[key]), 7)) for key in texts if key.startswith(f"{kind}.")
    ]


def test_every_note_and_failure_is_chinese_on_a_chinese_page(chinese: StudyResult) -> None:
    blank = replace(chinese.runs[0], stop=None, select=None, curve=())
    runs = [replace(blank, pair=at, failure=note) for at, note in enumerate(of_kind("failure"))]
    runs += [replace(blank, arm=f"none, {share} % of the rows") for share in (25, 50)]
    plan = made_up.plan(data={"digest": "0"}, model={"digest": "0"})
    plan = replace(plan, notes=tuple(of_kind("note")))
    page = render_page(replace(chinese, plan=plan, runs=(*runs, *chinese.runs)), "zh")
    assert latin(page) - KNOWN == set()
    assert latin(render_page(chinese, "en")) - KNOWN


NAMES = ["dropkit", "study", "json", "clothes", "npz", "small", "py", "make_model", "features", "head"]
METHODS = [
    "AdamW",
    "Bagging",
    "Concrete",
    "Dropout",
    "DropBlock",
    "DropPath",
    "Zoneout",
    "Alpha",
    "R",
    "Drop",
    "L",
]
FIGURES = ["NLL", "ECE", "Holm", "Nadeau", "Bengio", "n_select", "n_train", "n_test", "t", "d", "p", "x"]
OPTIONS = [
    "NA",
    "NaN",
    "None",
    "null",
    "UTF",
    "Latin",
    "Fashion",
    "MNIST",
    "class_weight",
    "balanced",
    "model",
]
CODE = ["nn", "ReLU", "F", "relu"]
KNOWN = {*NAMES, *METHODS, *FIGURES, *OPTIONS, *CODE, "python", "torch", "numpy"}


def latin(page: str) -> set[str]:
    """The words in Latin letters that a page shows or reads aloud, but for code, hashes and colours."""
    text = re.sub(r"<(style|pre).*?</\1>|<!--.*?-->", "", page, flags=re.DOTALL)
    aloud = re.findall(r'aria-label="([^"]*)"', text)
    shown = " ".join([*aloud, unescape(re.sub(r"<[^>]*>", " ", text))])
    return set(re.findall(r"(?<!\w)[A-Za-z_]+(?!\w)", shown))


def test_a_failure_in_words_of_its_own_is_marked_as_english(bare: StudyResult) -> None:
    note = Note(RAISED, {"text": "ValueError: <no>"})
    broken = replace(bare.runs[0], stop=None, select=None, curve=(), failure=note)
    page = render_page(replace(bare, runs=(broken, *bare.runs[1:])), "zh")
    assert '<td colspan="2" lang="en">ValueError: &lt;no&gt;</td>' in page


def test_names_from_strangers_are_escaped(renamed: Callable[[str], StudyResult]) -> None:
    page = render_page(renamed("<script>alert('x')</script>&"))
    assert outline(page).tags["script"] == 0


def test_empty_sections_hide(without_pairs: StudyResult) -> None:
    page = render_page(without_pairs)
    assert outline(page).tags["svg"] == 1
    for heading in ("Against none", "Score against rate", "The settings compared", "What was searched"):
        assert f"<h2>{heading}</h2>" not in page
    assert "The code to paste" not in page
    assert "svg" not in render_page(replace(without_pairs, runs=())).partition("</style>")[2]


def test_a_failed_run_is_listed_with_its_reason(bare: StudyResult) -> None:
    failure = Note("failure.loss", {"value": "nan"})
    broken = replace(bare.runs[0], stop=None, select=None, curve=(), failure=failure)
    page = render_page(replace(bare, runs=(broken, *bare.runs[1:])))
    assert '<td colspan="2">the training loss became nan</td>' in page


def test_a_run_that_was_pruned_is_in_the_table_but_not_in_the_pictures(bare: StudyResult) -> None:
    far = Scores(0.987, 9.0)
    pruned = Run("plan", "L1 1", FIRST_SCREENING, 1.0, epochs=9, stop=far, select=far, paused=20)
    page = render_page(replace(bare, runs=(*bare.runs, pruned)))
    assert page.count("98.70") == 1


def test_the_command_that_repeats_it_is_quoted_for_a_shell(bare: StudyResult) -> None:
    settings = {"data": "my file.csv", "train_rows": 100, "ignore": ["a", "b"], "fresh": True, "time": None}
    page = render_page(replace(bare, settings=settings))
    command = "dropkit study --data &#39;my file.csv&#39; --train-rows 100 --ignore a --ignore b --fresh<"
    assert command in page


def test_what_cannot_be_measured_is_a_dash(bare: StudyResult) -> None:
    none: dict[str, Any] = {
        "low": None,
        "high": None,
        "detectable": None,
        "effect_low": None,
        "effect_high": None,
        "more_pairs": None,
    }
    equal = replace(bare.comparisons[2], **none)
    single = replace(bare.arms[0], select_sd=None, runs=1)
    comparisons = (*bare.comparisons[:2], equal, *bare.comparisons[3:])
    page = render_page(replace(bare, comparisons=comparisons, arms=(single, *bare.arms[1:])))
    rows = re.findall(r'<th scope="row">dropout</th>\n<td>error</td>.*?</tr>', page, re.DOTALL)
    # Interval, detectable effect and pairs to decide; effect size and both cells of the sealed part.
    assert [row.count("<td>–</td>") for row in rows] == [3, 3]
    arms = page.partition("<h2>The settings compared</h2>")[2].partition("</table>")[0]
    assert arms.count('<td class="soft">–</td>') == 2
