"""Trackers beside the terminal: each is told what happens, and none can hold up or stop a study."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Protocol, Self

from dropkit.core.check import DropkitError, OneOf
from dropkit.experiments.user_file import reason
from dropkit.report.plan import Plan
from dropkit.report.record import Run, StudyResult
from dropkit.report.watcher import Watcher

__all__ = ["TRACKERS", "Tracked", "Tracker", "make_trackers"]

TRACKERS = OneOf(("mlflow", "tensorboard"))

_PATIENCE = 30.0
"""Seconds that the end of a study waits for one answer of a tracker."""


class Tracker(Protocol):
    """A place outside that keeps what runs gave. It may be slow and it may raise: `Tracked` sees to both."""

    name: str

    def planned(self, plan: Plan) -> None:
        """The plan is fixed; the same plan may have been begun here before."""

    def finished(self, run: Run) -> None:
        """One more run is on the disk; each is told once more at the end, those of earlier sessions too."""

    def concluded(self, result: StudyResult) -> None:
        """Every run has been told, and all is known."""

    def failed(self) -> None:
        """The study ended by an error."""


def make_trackers(names: Sequence[str], folder: Path) -> list[Tracker]:
    """The trackers of these names, each once.

    Args:
        names: of `mlflow` and `tensorboard`.
        folder: of the study, for those that write files.

    Raises:
        DropkitError: there is no tracker of a name.
        MissingPackage: the library of a tracker is not installed.
    """
    if isinstance(names, str):
        raise DropkitError("track", "must be a list of names", names, f"write [{names!r}]")
    return [_make(TRACKERS.check("track", name), folder) for name in dict.fromkeys(names)]


def _make(name: str, folder: Path) -> Tracker:
    if name == "mlflow":
        from dropkit.experiments.mlflow_tracker import MlflowTracker

        return MlflowTracker(folder)
    from dropkit.experiments.tensorboard_tracker import TensorBoardTracker

    return TensorBoardTracker(folder)


class Tracked:
    """A watcher and the trackers beside it: one that fails is named once and left out from then on.

    Trackers are told from threads of their own, so that a slow one does not slow the runs; at its end the
    study waits for as long as answers come, at most 30 seconds for one.

    Args:
        watcher: who is told as before.
        trackers: who is told as well.
        warn: takes the line that names a tracker that failed; by default it goes to standard error.
    """

    def __init__(
        self, watcher: Watcher, trackers: Sequence[Tracker], warn: Callable[[str], None] | None = None
    ) -> None:
        self._watcher = watcher
        self._lines = [_Line(tracker) for tracker in trackers]
        self._warn = warn or _to_standard_error

    def planned(self, plan: Plan, total: int, done: int, place: str, damaged: int = 0) -> None:
        """Tell all of the plan."""
        self._watcher.planned(plan, total, done, place, damaged)
        self._tell(lambda tracker: tracker.planned(plan))

    def finished(self, run: Run) -> None:
        """Tell all of a run."""
        self._watcher.finished(run)
        self._tell_finished(run)

    def concluded(self, result: StudyResult) -> None:
        """Tell all how it ended, and wait for the trackers within bounds."""
        self._watcher.concluded(result)
        for run in result.runs:
            self._tell_finished(run)
        self._tell(lambda tracker: tracker.concluded(result))
        self._end()

    def __enter__(self) -> Self:
        self._watcher.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._watcher.__exit__(kind, error, at)
        # A study that is interrupted is concluded with what it has.
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            self._tell(lambda tracker: tracker.failed())
            self._end()

    def _tell_finished(self, run: Run) -> None:
        self._tell(lambda tracker: tracker.finished(run))

    def _tell(self, call: Callable[[Tracker], None]) -> None:
        for line in self._lines:
            line.tell(call)
        self._drop_the_broken()

    def _end(self) -> None:
        for line in self._lines:
            line.end()
        self._drop_the_broken()
        self._lines = []

    def _drop_the_broken(self) -> None:
        for line in self._lines:
            if line.failure:
                self._warn(f"{line.tracker.name} is left out: {line.failure}")
        self._lines = [line for line in self._lines if not line.failure]


class _Line:
    """A tracker behind a queue."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker, self.failure = tracker, ""
        self._answers = 0
        self._calls: SimpleQueue[Callable[[Tracker], None] | None] = SimpleQueue()
        # A daemon: what hangs in a connection must not keep the process from ending.
        self._thread = threading.Thread(target=self._listen, name=tracker.name, daemon=True)
        self._thread.start()

    def tell(self, call: Callable[[Tracker], None]) -> None:
        self._calls.put(call)

    def end(self) -> None:
        """Wait until all is told, as long as answers come in time."""
        self._calls.put(None)
        before = -1
        while self._thread.is_alive() and before != self._answers:
            before = self._answers
            self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self.failure = f"no answer within {_PATIENCE:g} seconds"

    def _listen(self) -> None:
        while not self.failure and (call := self._calls.get()):
            try:
                call(self.tracker)
            except Exception as error:
                self.failure = self.failure or reason(error)
            self._answers += 1


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr)
