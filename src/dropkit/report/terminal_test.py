from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from dropkit.report.record import Run, StudyResult
from dropkit.report.terminal import Terminal, plan_lines, print_result


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=80)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_result_fits_a_terminal_of_80_columns(result: StudyResult, console: Console) -> None:
    print_result(result, console)
    text = said(console)
    assert result.verdict.headline.split()[0] in text
    assert all(arm.arm.name in text for arm in result.arms)
    assert "…" not in text


def test_a_study_without_a_comparison_is_printed_too(without_pairs: StudyResult, console: Console) -> None:
    print_result(without_pairs, console)
    assert "│" not in said(console)


def test_the_plan_is_told_before_the_first_run(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, done=3, place="here")
    text = " ".join(said(console).split())
    assert all(" ".join(line.split()) in text for line in plan_lines(result.plan))
    assert "3 finished runs found in here and used again" in text


def test_the_plan_tells_what_it_can_see(result: StudyResult) -> None:
    text = " ".join(plan_lines(result.plan))
    assert f"{result.plan.detectable:.2f} standard deviations" in text
    assert "78 networks" in text


def test_each_run_moves_the_bar_and_a_failure_is_named(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, done=0, place="here")
    with watcher:
        watcher.finished(result.runs[0])
        watcher.finished(Run("plan", "dropout 0.5", 4, 0.1, failure="out of memory"))
    assert watcher.progress.tasks[0].completed == 2
    assert "dropout 0.5, pair 5: out of memory" in said(console)


def test_one_run_has_no_spread(result: StudyResult, console: Console) -> None:
    print_result(replace(result, arms=(replace(result.arms[0], test_sd=None), *result.arms[1:])), console)
    assert said(console).count("± –") == 2


def test_sign_flips_have_a_column_where_pairs_share_no_row(result: StudyResult, console: Console) -> None:
    print_result(result, console)
    assert "flips' p" not in said(console)
    checked = tuple(replace(each, p_flips=0.03125) for each in result.comparisons)
    print_result(replace(result, comparisons=checked), console)
    assert "flips' p" in said(console)
    assert "0.0312" in said(console)
    assert "…" not in said(console)


def test_no_zero_has_a_sign_and_no_p_is_nought(result: StudyResult, console: Console) -> None:
    tiny = replace(result.comparisons[0], mean=-1e-7, low=-0.01, high=0.01, p_adjusted=1e-9)
    print_result(replace(result, comparisons=(tiny,)), console)
    assert "−0.00 " not in said(console)
    assert "< 0.0001" in said(console)
