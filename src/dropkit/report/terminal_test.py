from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from dropkit.report.messages import Note
from dropkit.report.record import StudyResult
from dropkit.report.terminal import plan_lines, print_plan, print_result


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_result_fits_a_terminal_of_80_columns(result: StudyResult, console: Console, lang: str) -> None:
    print_result(result, console, lang)
    text = said(console)
    assert result.verdict.headline.split()[0] in text
    assert text.count("R-Drop") >= 1 + 2 * 2
    assert "…" not in text


def test_openings_of_the_sealed_part_are_printed(result: StudyResult, console: Console) -> None:
    print_result(replace(result, openings=3), console)
    assert "the sealed part was opened 3 times." in " ".join(said(console).split())


def test_a_study_without_a_comparison_is_printed_too(without_pairs: StudyResult, console: Console) -> None:
    print_result(without_pairs, console)
    assert "│" not in said(console)


def test_a_dry_run_tells_the_plan_and_that_nothing_was_trained(result: StudyResult, console: Console) -> None:
    print_plan(result.plan, 301, console)
    text = " ".join(said(console).split())
    assert all(" ".join(line.split()) in text for line in plan_lines(result.plan))
    assert text.endswith("301 runs would be trained. Nothing was: this was a dry run.")


def test_one_run_has_no_spread(result: StudyResult, console: Console) -> None:
    print_result(replace(result, arms=(replace(result.arms[0], select_sd=None), *result.arms[1:])), console)
    assert said(console).count("± –") == 2


def test_sign_flips_have_a_column_where_pairs_share_no_row(result: StudyResult, console: Console) -> None:
    unchecked = tuple(replace(each, p_flips=None) for each in result.comparisons)
    print_result(replace(result, comparisons=unchecked), console)
    assert "flips' p" not in said(console)
    print_result(result, console)
    assert "flips' p" in said(console)
    assert "0.0020" in said(console)


def test_no_zero_has_a_sign_and_no_p_is_nought(result: StudyResult, console: Console) -> None:
    tiny = replace(result.comparisons[0], mean=-1e-7, low=-0.01, high=0.01, p_adjusted=1e-9)
    print_result(replace(result, comparisons=(tiny,)), console)
    assert "−0.00 " not in said(console)
    assert "< 0.0001" in said(console)


def test_why_runs_failed_is_said_with_their_number_and_arms(
    without_pairs: StudyResult, console: Console
) -> None:
    failures = [Note("failure.score"), Note("failure.score"), Note("failure.memory")]
    runs = [
        replace(run, failure=note, select=None)
        for run, note in zip(without_pairs.runs, failures, strict=True)
    ]
    print_result(replace(without_pairs, runs=tuple(runs)), console)
    text = " ".join(said(console).split())
    first, second, third = (run.arm for run in runs)
    assert f"2 runs failed ({first} and {second}): a score became NaN or infinite." in text
    assert f"1 run failed ({third}): there was not enough memory." in text
