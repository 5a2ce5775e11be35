import re
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from dropkit.report import watcher as module
from dropkit.report.messages import Note
from dropkit.report.plan import FIRST_SCREENING
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


def run(arm: str, error: float, pair: int = 0) -> Run:
    return Run("plan", arm, pair, 0.1, select=Scores(error, 1.0))


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
    assert watcher.progress.tasks[0].completed == watcher.progress.tasks[0].total == 2
    assert "dropout, pair 5: there was not enough memory" in said(console)


def test_the_leading_arms_are_those_of_the_best_means(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    for each in (run("L2", 0.2), run("dropout", 0.1), run("dropout", 0.4)):
        watcher.finished(each)
    assert leading(watcher) == "leading: L2 20.00 %, dropout 25.00 %"
    for each in (replace(run("dropout", 0.0), paused=5), run("none", 0.3), run("L1", 0.5)):
        watcher.finished(each)
    assert leading(watcher) == "leading: L2 20.00 %, dropout 25.00 %, none 30.00 %"


def test_the_search_leads_no_comparison(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    watcher.finished(run("dropout 3", 0.01, FIRST_SCREENING))
    assert leading(watcher) == "leading: dropout 3 1.00 %"
    watcher.finished(run("dropout", 0.2))
    assert leading(watcher) == "leading: dropout 20.00 %"


def test_without_a_terminal_a_line_comes_now_and_then(
    result: StudyResult, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    monkeypatch.setattr(module, "_SILENCE", 0.0)
    watcher.finished(run("L2", 0.2))
    monkeypatch.setattr(module, "_SILENCE", 100.0)
    watcher.finished(run("L2", 0.3))
    assert said(console).count("left; leading") == 1
    assert "1 of 10 runs, about – left; leading: L2 20.00 %" in said(console)


def test_progress_is_told_in_chinese_too(result: StudyResult, console: Console) -> None:
    watcher = Terminal(console, lang="zh")
    watcher.planned(result.plan, total=10, done=1, place="/tmp/a")
    watcher.finished(run("none", 0.2))
    assert "最多 10 次训练；在 /tmp/a 找到 1 次已完成的训练" in said(console)
    assert leading(watcher) == "领先：无正则化 20.00 %"


def test_a_narrow_terminal_cuts_names_alone(result: StudyResult) -> None:
    console = Console(file=StringIO(), width=80)
    watcher = Terminal(console)
    watcher.planned(result.plan, total=10, done=0, place="here")
    for arm in ("best two combined", "feature alpha dropout", "label smoothing"):
        watcher.finished(run(arm, 0.2))
    console.print(watcher.progress)
    last = said(console).rpartition("level 0.05).")[2]
    assert re.search(r"runs ━+ 3/10 [-:0-9]+ leading: the best two combined 20.*…", last)
