import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests import made_up

from dropkit.core.check import DropkitError, MissingPackage
from dropkit.experiments import trackers
from dropkit.experiments.trackers import TRACKERS, Tracked, make_trackers
from dropkit.report.plan import Plan
from dropkit.report.record import Run, StudyResult

PLAN = made_up.plan()
RUN = Run(PLAN.fingerprint, "none", 0, 1.0, id="a")


class Recorder:
    """A watcher and a tracker that write down what they are told; `broken` names where it raises."""

    name = "recorder"

    def __init__(self, broken: str = "", hold: threading.Event | None = None) -> None:
        self.told: list[str] = []
        self.broken, self.hold = broken, hold

    def hear(self, what: str) -> None:
        self.told.append(what)
        if self.hold and what == "finished":
            self.hold.wait(60)
        if what == self.broken:
            raise ConnectionError("nobody there\nand more")

    def planned(self, plan: Plan, total: int = 0, done: int = 0, place: str = "", damaged: int = 0) -> None:
        self.hear("planned")

    def finished(self, run: Run) -> None:
        self.hear("finished")

    def concluded(self, result: StudyResult) -> None:
        self.hear("concluded")

    def failed(self) -> None:
        self.hear("failed")

    def __enter__(self) -> Self:
        self.hear("enter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.hear("exit")


@pytest.fixture(scope="module")
def result() -> StudyResult:
    whole = made_up.study()
    return replace(whole, runs=whole.runs[:3])


def conduct(tracked: Tracked, result: StudyResult) -> None:
    tracked.planned(PLAN, 2, 0, "")
    with tracked:
        tracked.finished(RUN)
        tracked.finished(RUN)
    tracked.concluded(result)


def test_all_are_told_and_runs_of_earlier_sessions_come_at_the_end(result: StudyResult) -> None:
    watcher, tracker, lines = Recorder(), Recorder(), list[str]()
    conduct(Tracked(watcher, [tracker], lines.append), result)
    assert watcher.told == ["planned", "enter", "finished", "finished", "exit", "concluded"]
    assert tracker.told == ["planned", *["finished"] * (2 + len(result.runs)), "concluded"]
    assert lines == []


@pytest.mark.parametrize("broken", ["planned", "finished", "concluded"])
def test_a_tracker_that_raises_is_named_once_and_left_out(broken: str, result: StudyResult) -> None:
    watcher, bad, good, lines = Recorder(), Recorder(broken), Recorder(), list[str]()
    conduct(Tracked(watcher, [bad, good], lines.append), result)
    assert lines == ["recorder is left out: ConnectionError: nobody there"]
    assert bad.told.count(broken) == 1
    assert bad.told[-1] == broken
    assert good.told[-1] == "concluded"
    assert len(watcher.told) == 6


def test_it_is_named_while_the_study_runs_and_not_again(result: StudyResult) -> None:
    lines: list[str] = []
    tracked = Tracked(Recorder(), [Recorder("planned")], lines.append)
    (line,) = tracked._lines
    tracked.planned(PLAN, 2, 0, "")
    while not line.failure:
        time.sleep(0.01)
    for _ in range(3):
        tracked.finished(RUN)
        assert lines == ["recorder is left out: ConnectionError: nobody there"]


def test_a_tracker_that_hangs_does_not_hold_up_runs_and_is_waited_for_within_bounds(
    result: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trackers, "_PATIENCE", 0.2)
    hold, lines = threading.Event(), list[str]()
    watcher, tracker = Recorder(), Recorder(hold=hold)
    conduct(Tracked(watcher, [tracker], lines.append), result)
    assert lines == ["recorder is left out: no answer within 0.2 seconds"]
    assert tracker.told == ["planned", "finished"]
    assert len(watcher.told) == 6
    (thread,) = (each for each in threading.enumerate() if each.name == tracker.name)
    assert thread.daemon
    hold.set()
    thread.join(60)
    assert tracker.told == ["planned", "finished"]


def test_a_slow_tracker_is_waited_for_as_long_as_it_answers(
    result: StudyResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Recorder):
        def finished(self, run: Run) -> None:
            super().finished(run)
            threading.Event().wait(0.3)

    monkeypatch.setattr(trackers, "_PATIENCE", 1.0)
    tracker, lines = Slow(), list[str]()
    conduct(Tracked(Recorder(), [tracker], lines.append), result)
    assert (tracker.told[-1], lines) == ("concluded", [])


@pytest.mark.parametrize(("error", "last"), [(OSError, "failed"), (KeyboardInterrupt, "finished")])
def test_a_study_that_fails_is_closed_and_one_that_is_interrupted_is_concluded_later(
    error: type[BaseException], last: str, result: StudyResult
) -> None:
    def end(tracked: Tracked) -> None:
        with tracked:
            tracked.finished(RUN)
            raise error

    tracker = Recorder()
    tracked = Tracked(Recorder(), [tracker])
    with pytest.raises(error):
        end(tracked)
    for line in tracked._lines:
        line.end()
    assert tracker.told[-1] == last


def test_the_warning_goes_to_standard_error(result: StudyResult, capsys: pytest.CaptureFixture[str]) -> None:
    conduct(Tracked(Recorder(), [Recorder("planned")]), result)
    assert capsys.readouterr().err == "recorder is left out: ConnectionError: nobody there\n"


def test_trackers_are_made_once_each(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is an optional package")
    pytest.importorskip("tensorboard", reason="TensorBoard is an optional package")
    made = make_trackers([*TRACKERS.words, *TRACKERS.words], tmp_path)
    assert [each.name for each in made] == list(TRACKERS.words)
    assert make_trackers([], tmp_path) == []


@pytest.mark.parametrize("name", TRACKERS.bad())
def test_another_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(DropkitError, match="track must be one of 'mlflow', 'tensorboard'"):
        make_trackers([name], tmp_path)


def test_a_name_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DropkitError, match=r"track must be a list of names, got 'mlflow'; write \['mlflow'\]"
    ):
        make_trackers("mlflow", tmp_path)


@pytest.mark.parametrize("name", TRACKERS.words)
def test_without_its_library_the_line_to_type_is_said(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=rf"pip install 'dropkit\[{name}\]'"):
        make_trackers([name], tmp_path)
