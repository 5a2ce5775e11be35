from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from dropkit.report.messages import Note
from dropkit.report.record import Run, Scores, StudyResult
from dropkit.report.watcher import Terminal


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=100)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return " ".join(console.file.getvalue().split())


def leading(watcher: Terminal) -> str:
    return str(watcher.progress.tasks[0].fields["leading"])


def run(arm: str, error: float) -> Run:
    return Run("plan", arm, 0, 0.1, select=Scores(error, 1.0))


def test_finished_and_damaged_records_are_told_before_the_first_run(
    result: StudyResult, console: Console
) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=90, done=3, place="here", damaged=1)
    assert (
        "3 finished runs of 90 at most found in here and used again. 1 record in here failed the checksum"
        in said(console)
    )
    assert (watcher.progress.tasks[0].total, watcher.progress.tasks[0].completed) == (90, 0)


def test_each_run_moves_the_bar_and_a_failure_is_named(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    with watcher:
        watcher.finished(result.runs[0])
        watcher.finished(Run("plan", "dropout", 4, 0.1, failure=Note("failure.memory")))
    assert watcher.progress.tasks[0].completed == 2
    assert "dropout, pair 5: there was not enough memory" in said(console)


def test_the_leading_arm_is_that_of_the_best_mean(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    for each in (run("L2", 0.2), run("dropout", 0.1), run("dropout", 0.4)):
        watcher.finished(each)
    assert leading(watcher) == "leading: L2 20.00 %"
    watcher.finished(replace(run("dropout", 0.0), paused=5))
    assert leading(watcher) == "leading: L2 20.00 %"


def test_progress_is_told_in_chinese_too(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console, lang="zh")
    watcher.planned(result.plan, total=10, done=1, place="/tmp/a")
    watcher.finished(run("none", 0.2))
    assert "最多 10 次训练；在 /tmp/a 找到 1 次已完成的训练" in said(console)
    assert leading(watcher) == "领先：无正则化 20.00 %"
