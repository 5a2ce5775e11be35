"""Who trains: this process, or several that stand alone, so that one that dies takes no other run with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pickle import PicklingError
from typing import Protocol, Self

import cloudpickle
from joblib.externals.loky import ProcessPoolExecutor

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset, Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.train import Task, train
from dropkit.experiments.user_file import reason
from dropkit.report.record import Arm, Plan, Run

__all__ = ["Alone", "Crew", "Death", "Trainer", "Work", "make_crew"]

_ORPHAN_CHECK = 1.0  # seconds


@dataclass(frozen=True)
class Work:
    """What all runs of a study share: it travels to each process once; a run is then an arm and a pair."""

    plan: Plan
    data: Dataset
    splits: list[Split]
    source: ModelSource

    def run(self, arm: Arm, pair: int) -> Run:
        """Train one network."""
        return train(Task(self.plan, arm, pair, self.data, self.splits[pair], self.source))


class Death(Exception):  # noqa: N818 - what happened, as KeyboardInterrupt
    """A process died; `in_run` says whether it had begun to train."""

    def __init__(self, *, in_run: bool) -> None:
        super().__init__()
        self.in_run = in_run


class Trainer(Protocol):
    """Who trains runs; an adapter to a cluster is one more of these, used inside `with`."""

    size: int
    """How many runs are trained at once."""

    @property
    def vacancies(self) -> int:
        """How many more runs may be begun now."""

    def begin(self, arm: Arm, pair: int) -> Future[Run]:
        """Train a run some time."""

    def collect(self, future: Future[Run]) -> Run:
        """The run of a future that is done; raises `Death` where its process died."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def make_crew(work: Work, size: int) -> Trainer:
    """Whoever trains `size` runs at once."""
    return Crew(work, size) if size > 1 else Alone(work)


class Alone:
    """This process trains, one run after the other."""

    size = vacancies = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def begin(self, arm: Arm, pair: int) -> Future[Run]:
        """Train a run at once."""
        future = Future[Run]()
        future.set_result(self._work.run(arm, pair))
        return future

    def collect(self, future: Future[Run]) -> Run:
        """The run."""
        return future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Member:
    """One process, told first what it works on."""

    def __init__(self, work: bytes) -> None:
        self.executor = ProcessPoolExecutor(1, initializer=_settle, initargs=(os.getpid(),))
        self.ready: Future[None] = self.executor.submit(_receive, work)


class Crew:
    """Processes of their own, each started when it is first needed; a dead one is replaced.

    Args:
        work: what they train.
        size: how many runs are trained at once.

    Raises:
        DropkitError: the model or the data cannot travel to another process.
    """

    def __init__(self, work: Work, size: int) -> None:
        self.size = size
        self._idle: list[_Member] = []
        self._busy: dict[Future[Run], _Member] = {}
        try:
            self._work: bytes = cloudpickle.dumps(work)
        except (PicklingError, TypeError, AttributeError) as error:
            raise _cannot_load(error, size) from error

    @property
    def vacancies(self) -> int:
        """How many more runs may be begun now."""
        return self.size - len(self._busy)

    def begin(self, arm: Arm, pair: int) -> Future[Run]:
        """Train a run in an idle process."""
        member = self._idle.pop() if self._idle else _Member(self._work)
        future: Future[Run] = member.executor.submit(_run, arm, pair)
        self._busy[future] = member
        return future

    def collect(self, future: Future[Run]) -> Run:
        """The run of a future that is done.

        Raises:
            Death: its process died.
            DropkitError: its process could not load the model or the data.
        """
        member = self._busy.pop(future)
        try:
            member.ready.result()
            run = future.result()
        except BrokenProcessPool as error:
            member.executor.shutdown(wait=False)
            raise Death(in_run=member.ready.exception() is None) from error
        except Exception as error:
            member.executor.shutdown(wait=False, kill_workers=True)
            raise _cannot_load(error, self.size) from error
        self._idle.append(member)
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in (*self._idle, *self._busy.values()):
            member.executor.shutdown(wait=True, kill_workers=True)


def _cannot_load(error: Exception, size: int) -> DropkitError:
    mend = "ask for 1, which stays in this process: finished runs are kept"
    return DropkitError("workers", f"must be able to load the model: {reason(error)}", size, mend)


_received: list[Work] = []
"""In a process of a crew: what it works on."""


def _settle(parent: int) -> None:
    # Ctrl-C reaches every process of a terminal; only the parent, which holds the results, shall answer it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    # Nobody waits for the run of an orphan, and who takes over needs the processor.
    while os.getppid() == parent:
        time.sleep(_ORPHAN_CHECK)
    os._exit(1)


def _receive(work: bytes) -> None:
    _received.append(cloudpickle.loads(work))


def _run(arm: Arm, pair: int) -> Run:
    return _received[-1].run(arm, pair)
