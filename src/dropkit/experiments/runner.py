"""Many runs, each trained once and kept: studies that share a store share the work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from dropkit.core.check import DropkitError
from dropkit.experiments.crew import Death, Trainer
from dropkit.experiments.store import Store
from dropkit.report.messages import Note
from dropkit.report.plan import Job
from dropkit.report.record import Run

__all__ = ["run_all", "take_finished"]

_TRIES = 3  # a process may be killed for reasons that its run has no part in
_HOPELESS = 10  # deaths while nothing was finished
_KILLED = Note("failure.killed", {"n": _TRIES})
_MEND = "ask for fewer (1 stays in this process) and repeat the command: finished runs are kept"
_POLL = 0.2  # seconds between looks at what others hold


def take_finished(jobs: Iterable[Job], store: Store, fingerprint: str) -> list[Run]:
    """The runs wanted that the store holds already, from whatever study."""
    jobs = list(jobs)
    found = store.finished(job.id for job in jobs)
    return [labelled(found[job.id], job, fingerprint) for job in jobs if job.id in found]


def labelled(run: Run, job: Job, fingerprint: str) -> Run:
    """A run under the names of a plan: the same one may stand under others in another, or twice in one."""
    return replace(run, plan=fingerprint, arm=job.arm.name, pair=job.pair)


def run_all(jobs: Sequence[Job], crew: Trainer, store: Store, fingerprint: str) -> Generator[Run]:
    """Train every run that is not settled in the store, and yield each when it is kept there.

    Args:
        jobs: in the order in which they are trained.
        crew: who trains.
        store: where runs are kept; runs that another study holds are waited for.
        fingerprint: of the plan that the runs are labelled with.

    Raises:
        DropkitError: the workers cannot load the model, all of them die, or the store cannot be written.
    """
    wanted: dict[str, list[Job]] = {}
    for job in jobs:
        wanted.setdefault(job.id, []).append(job)
    first = {run_id: some[0] for run_id, some in wanted.items()}
    for run_id, run in _Session(store, crew, first).settle():
        for job in wanted[run_id]:
            yield labelled(run, job, fingerprint)


class _Session:
    """The runs of one call: waiting, or running under a lease of ours."""

    def __init__(self, store: Store, crew: Trainer, jobs: Mapping[str, Job]) -> None:
        self._store, self._crew = store, crew
        self._waiting = dict(jobs)
        self._running: dict[Future[Run], Job] = {}
        self._deaths, self._deaths_in = 0, Counter[str]()
        self._has_returned = False

    def settle(self) -> Iterator[tuple[str, Run]]:
        """Every run with its id, as it is settled by us or by others."""
        while self._waiting or self._running:
            yield from self._claim().items()
            for future in self._done():
                if run := self._collect(future):
                    yield run.id, run

    def _claim(self) -> dict[str, Run]:
        claim = self._store.claim(self._waiting, self._crew.vacancies)
        for run_id in claim.settled:
            del self._waiting[run_id]
        for run_id in claim.ours:
            self._begin(self._waiting.pop(run_id))
        return claim.settled

    def _begin(self, job: Job) -> None:
        self._running[self._crew.begin(job)] = job

    def _done(self) -> set[Future[Run]]:
        is_held_up = bool(self._waiting and self._crew.vacancies)
        if not self._running:
            time.sleep(_POLL if is_held_up else 0)
            return set()
        return wait(self._running, _POLL if is_held_up else None, FIRST_COMPLETED).done

    def _collect(self, future: Future[Run]) -> Run | None:
        job = self._running.pop(future)
        try:
            run = self._crew.collect(future)
        except Death as death:
            return self._after(death, job)
        self._has_returned = True
        return self._store.finish(job.id, replace(run, id=job.id))

    def _after(self, death: Death, job: Job) -> Run | None:
        self._deaths += 1
        self._deaths_in[job.id] += death.in_run
        if self._deaths == _HOPELESS and not self._has_returned:
            rule = f"must fit into memory: {_HOPELESS} were killed, and none finished a run"
            raise DropkitError("workers", rule, self._crew.size, _MEND) from death
        if self._deaths_in[job.id] < _TRIES:
            self._begin(job)
            return None
        return self._store.finish(job.id, Run("", job.arm.name, job.pair, 0.0, failure=_KILLED, id=job.id))
