"""Who trains: this process, or several that stand alone, so that one that dies takes no other run with it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from pickle import PicklingError
from typing import Protocol, Self

import cloudpickle
from joblib.externals.loky import ProcessPoolExecutor

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset, Split
from dropkit.experiments.models import ModelSource
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.experiments.task import Task
from dropkit.experiments.train import train
from dropkit.experiments.user_file import reason
from dropkit.report.plan import Job, Plan
from dropkit.report.record import Run

__all__ = ["Alone", "Crew", "Death", "Trainer", "Work", "make_crew", "pack"]

_ORPHAN_CHECK = 1.0  # seconds


@dataclass(frozen=True)
class Work:
    """What all runs of a study share: it travels to each process once; after that, jobs do.

    Args:
        plan: what was decided.
        data: what is learned from, without the sealed part.
        splits: rows of the parts, one split a pair.
        source: where fresh models come from.
        folder: where runs leave checkpoints and weights, seen by every process; None for nowhere.
        recipe: what of training is the user's own.
    """

    plan: Plan
    data: Dataset
    splits: Mapping[int, Split]
    source: ModelSource
    folder: Path | None = None
    recipe: Recipe = PLAIN

    def run(self, job: Job) -> Run:
        """Train one network."""
        split = self.splits[job.pair]
        return train(Task(self.plan, job, self.data, split, self.source, self.folder, self.recipe))


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

    def begin(self, job: Job) -> Future[Run]:
        """Train a run some time."""

    def collect(self, future: Future[Run]) -> Run:
        """The run of a future that is done; raises `Death` where its process died."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def make_crew(
    work: Work, size: int, ray: str | None = None, crew: Callable[[Work], Trainer] | None = None
) -> Trainer:
    """Whoever trains `size` runs at once.

    Args:
        work: what is trained.
        size: how many runs at once, 1 or more.
        ray: address of a Ray cluster; None for this machine without Ray.
        crew: makes the user's own trainer, which knows how many runs it does at once.

    Raises:
        MissingPackage: Ray is asked for and not installed.
        DropkitError: the model or the data cannot travel, or the cluster cannot be reached.
    """
    if crew is not None:
        return crew(work)
    if ray is not None:
        from dropkit.experiments.ray_crew import RayCrew

        return RayCrew(work, ray, size)
    return Crew(work, size) if size > 1 else Alone(work)


def pack(work: Work, size: int) -> bytes:
    """The work as it travels to one of `size` other processes.

    Raises:
        DropkitError: the model or the data cannot be pickled.
    """
    try:
        packed: bytes = cloudpickle.dumps(work)
    except (PicklingError, TypeError, AttributeError) as error:
        raise _cannot_load(error, size) from error
    return packed


class Alone:
    """This process trains, one run after the other."""

    size = vacancies = 1

    def __init__(self, work: Work) -> None:
        self._work = work

    def begin(self, job: Job) -> Future[Run]:
        """Train a run at once."""
        future = Future[Run]()
        future.set_result(self._work.run(job))
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
        self._work = pack(work, size)

    @property
    def vacancies(self) -> int:
        """How many more runs may be begun now."""
        return self.size - len(self._busy)

    def begin(self, job: Job) -> Future[Run]:
        """Train a run in an idle process."""
        member = self._idle.pop() if self._idle else _Member(self._work)
        future: Future[Run] = member.executor.submit(_run, job)
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
            if isinstance(error, DropkitError):
                raise
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


def _run(job: Job) -> Run:
    return _received[-1].run(job)
