from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from tests import made_up

from dropkit.report.compare import compare_pages, differences, print_compared, side_by_side
from dropkit.report.messages import Note
from dropkit.report.page_test import outline
from dropkit.report.record import StudyResult


@pytest.fixture(scope="module")
def other() -> StudyResult:
    """Another margin, another seed, and fewer arms."""
    made = replace(made_up.plan(tests={"margin": 0.01}), seed=1)
    return made_up.study(gains={"L2": -0.4, "dropout": -1.5}, made=made)


def test_what_differs_is_listed_and_what_does_not_is_not(result: StudyResult, other: StudyResult) -> None:
    found = {each.what: (each.a, each.b) for each in differences(result, other)}
    assert found == {"tests.margin": ("0.005", "0.01"), "seed": ("0", "1")}
    assert differences(result, result) == []


def test_an_option_of_one_alone_differs(result: StudyResult) -> None:
    more = replace(result, settings={**result.settings, "ignore": ["a", "b"]})
    (found,) = differences(result, more)
    assert (found.what, found.a, found.b) == ("settings.ignore", "–", "a, b")


def test_arms_stand_beside_one_another(result: StudyResult, other: StudyResult) -> None:
    rows = {(row.arm, row.metric): row for row in side_by_side(result, other)}
    both, alone = rows["dropout", "error"], rows["R-Drop", "error"]
    assert both.a is not None
    assert both.b is not None
    assert (round(100 * both.a.mean, 6), round(100 * both.b.mean, 6)) == (-1.9, -1.5)
    assert alone.a is not None
    assert alone.b is None


def test_the_page_says_whether_data_and_model_are_the_same(result: StudyResult, other: StudyResult) -> None:
    page = compare_pages(result, other, ("first", "second"))
    assert "Both learn from the same data." in page
    assert "first: change" in page
    foreign = replace(other, plan=replace(other.plan, data=replace(other.plan.data, digest="other")))
    assert "so their scores are not comparable" in compare_pages(result, foreign)


def test_the_page_is_whole_and_in_one_language(result: StudyResult, chinese: StudyResult) -> None:
    page = compare_pages(chinese, chinese, ("甲", "乙"), "zh")
    seen = outline(page)
    assert seen.loaded == []
    assert seen.tags["script"] == 0
    assert "除训练本身外没有不同" in page
    assert "Better than none" not in page
    assert "Nothing but the runs" in compare_pages(result, result)


def test_a_study_without_comparisons_can_be_compared(result: StudyResult, without_pairs: StudyResult) -> None:
    page = compare_pages(result, without_pairs)
    assert page.count("not compared") == len(result.comparisons)
    assert "Settings against none" not in compare_pages(without_pairs, without_pairs)


def test_the_table_fits_a_terminal_of_80_columns(result: StudyResult, other: StudyResult) -> None:
    console = Console(file=StringIO(), width=80)
    print_compared(result, other, console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert "tests.margin" in text
    assert f"A: {result.verdict.headline[:30]}" in text


def test_notes_that_differ_are_told_in_the_language(result: StudyResult) -> None:
    noted = replace(result, plan=replace(result.plan, notes=(Note("note.groups", {"n": 7}),), estimate=9.0))
    (differ,) = differences(result, noted, "zh")
    assert (differ.what, differ.a, differ.b) == ("notes", "–", "各部分不共用 7 个组中的任何一组。")


def test_spaces_are_told_by_families_alone(result: StudyResult) -> None:
    search = replace(result.plan.search, space={"L2": {"l2": "{}"}})
    assert differences(result, replace(result, plan=replace(result.plan, search=search))) == []
