"""Many runs, each trained once and kept: studies that share a store share the work."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace

from dropkit.core.check import DropkitError
from dropkit.experiments.crew import Death, Trainer, Work, make_crew
from dropkit.experiments.store import Store
from dropkit.report.record import Plan, Run

__all__ = ["run_all", "take_finished"]

Place = tuple[str, int]

_TRIES = 3  # a process may be killed for reasons that its run has no part in
_HOPELESS = 10  # deaths while nothing was finished
_KILLED = f"its process was killed {_TRIES} times, most often for want of memory"
_MEND = "ask for fewer (1 stays in this process) and repeat the command: finished runs are kept"
_POLL = 0.2  # seconds between looks at what others hold


def take_finished(wanted: Mapping[Place, str], plan: Plan, store: Store) -> list[Run]:
    """The runs wanted that the store holds already, from whatever study."""
    found = store.finished(wanted.values())
    return [_labelled(found[run_id], plan, place) for place, run_id in wanted.items() if run_id in found]


def _labelled(run: Run, plan: Plan, place: Place) -> Run:
    # The same run may stand under another name in another plan, or twice in one.
    arm, pair = place
    return replace(run, plan=plan.fingerprint, arm=arm, pair=pair)


def run_all(wanted: Mapping[Place, str], work: Work, store: Store, workers: int) -> Generator[Run]:
    """Train every run that is not settled in the store, and yield each when it is kept there.

    Args:
        wanted: ids of runs by (name of the arm, pair), in the order in which they are trained.
        work: what is trained.
        store: where runs are kept; runs that another study holds are waited for.
        workers: processes, 1 or more; 1 stays in this process.

    Raises:
        DropkitError: the workers cannot load the model, all of them die, or the store cannot be written.
    """
    places: dict[str, list[Place]] = {}
    for place, run_id in wanted.items():
        places.setdefault(run_id, []).append(place)
    with make_crew(work, min(workers, len(places))) as crew:
        for run_id, run in _Session(work, store, crew, places).settle():
            for place in places[run_id]:
                yield _labelled(run, work.plan, place)


class _Session:
    """The runs of one call: waiting, or running under a lease of ours."""

    def __init__(self, work: Work, store: Store, crew: Trainer, places: Mapping[str, list[Place]]) -> None:
        self._store, self._crew = store, crew
        self._arms = {arm.name: arm for arm in work.plan.arms}
        self._waiting = {run_id: some[0] for run_id, some in places.items()}
        self._running: dict[Future[Run], tuple[str, Place]] = {}
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
            self._begin(run_id, self._waiting.pop(run_id))
        return claim.settled

    def _begin(self, run_id: str, place: Place) -> None:
        arm, pair = place
        self._running[self._crew.begin(self._arms[arm], pair)] = run_id, place

    def _done(self) -> set[Future[Run]]:
        is_held_up = bool(self._waiting and self._crew.vacancies)
        if not self._running:
            time.sleep(_POLL if is_held_up else 0)
            return set()
        return wait(self._running, _POLL if is_held_up else None, FIRST_COMPLETED).done

    def _collect(self, future: Future[Run]) -> Run | None:
        run_id, place = self._running.pop(future)
        try:
            run = self._crew.collect(future)
        except Death as death:
            return self._after(death, run_id, place)
        self._has_returned = True
        return self._store.finish(run_id, replace(run, id=run_id))

    def _after(self, death: Death, run_id: str, place: Place) -> Run | None:
        self._deaths += 1
        self._deaths_in[run_id] += death.in_run
        if self._deaths == _HOPELESS and not self._has_returned:
            rule = f"must fit into memory: {_HOPELESS} were killed, and none finished a run"
            raise DropkitError("workers", rule, self._crew.size, _MEND) from death
        if self._deaths_in[run_id] < _TRIES:
            self._begin(run_id, place)
            return None
        return self._store.finish(run_id, Run("", *place, 0.0, failure=_KILLED, id=run_id))
