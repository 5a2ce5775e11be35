"""The stages of a study: search settings, vary the rows, compare; each asks for runs and waits for them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from dropkit.experiments import question_zero
from dropkit.experiments.crew import Trainer
from dropkit.experiments.dataset import Split
from dropkit.experiments.decision import OPEN
from dropkit.experiments.families import (
    BROUGHT,
    UNREGULARISED,
    Space,
    combined,
    ensembles,
    spaces_for,
)
from dropkit.experiments.looks import level_at
from dropkit.experiments.recipe import PLAIN, Recipe
from dropkit.experiments.run_id import make_job
from dropkit.experiments.runner import run_all, take_finished
from dropkit.experiments.search import FamilySearch, Results, Wanted, rounds
from dropkit.experiments.store import Store
from dropkit.experiments.summary import compare, complete_pairs
from dropkit.experiments.weights import weights_path
from dropkit.report.plan import FIRST_SCREENING, NONE, Arm, Job, Plan
from dropkit.report.record import Family, Run
from dropkit.report.watcher import Watcher

__all__ = ["Stages"]


@dataclass
class Stages:
    """What a study has done so far; whatever is finished stays when it is interrupted.

    Args:
        plan: of the study.
        splits: of all pairs.
        crew: who trains.
        store: where runs are kept.
        watcher: who is told.
        folder: where weights are kept.
        recipe: what of training is the user's own.
        fresh: whether finished runs of others are trained again.
    """

    plan: Plan
    splits: Mapping[int, Split]
    crew: Trainer
    store: Store
    watcher: Watcher
    folder: Path
    recipe: Recipe = PLAIN
    fresh: bool = False
    runs: list[Run] = field(default_factory=list)
    searches: list[FamilySearch] = field(default_factory=list)
    arms: tuple[Arm, ...] = ()
    level: float = 0.0

    def all(self) -> None:
        """Search unless arms were given, then compare."""
        self.level = self._level(self.plan.tests.looks)
        if self.plan.arms:
            self.arms = self.plan.arms
        else:
            self._search()
            self._vary_rows()
        self._compare()

    @property
    def tried(self) -> tuple[Arm, ...]:
        """The settings of the search, by the names that their runs carry."""
        return tuple(trial.arm for search in self.searches for trial in search.trials)

    @property
    def families(self) -> tuple[Family, ...]:
        """What the search found so far."""
        return tuple(search.found() for search in self.searches)

    def _search(self) -> None:
        spaces = spaces_for(self.plan.data, self.plan.model, self.recipe)
        self._drive([FamilySearch(space, self.plan) for space in spaces])
        if pair := self._best_two():
            self._drive([FamilySearch(pair, self.plan)])
        none = next((family.best for family in self.families if family.name == NONE and family.best), None)
        self.arms = (none or UNREGULARISED, BROUGHT, *self._finalists())

    def _drive(self, searches: Sequence[FamilySearch]) -> None:
        self.searches += searches
        steps = rounds(searches)
        wanted = next(steps, None)
        while wanted is not None:
            screening = range(FIRST_SCREENING, FIRST_SCREENING + self.plan.search.splits)
            jobs = [self._job(arm, pair, until=until) for arm, until in wanted for pair in screening]
            results = _by_arm(self._run(jobs))
            wanted = _send(steps, results)

    def _ranked(self) -> list[Family]:
        """Families that found something, the best select scores first."""
        found = [family for family in self.families if family.select and family.name != NONE]
        return sorted(found, key=lambda each: [getattr(each.select, name) for name in self.plan.metrics])

    def _best_two(self) -> Space | None:
        several = {space.name for space in ensembles()}
        best = [family.best for family in self._ranked() if family.best and family.name not in several]
        return combined(best[0], best[1]) if len(best) > 1 else None

    def _finalists(self) -> list[Arm]:
        return [family.best for family in self._ranked()[: self.plan.search.finalists] if family.best]

    def _vary_rows(self) -> None:
        arms, pairs = question_zero.size_arms(self.arms[0]), question_zero.size_pairs(self.plan)
        self._run([self._job(arm, pair) for pair in pairs for arm in arms])

    def _compare(self) -> None:
        for look in range(1, self.plan.tests.looks + 1):
            pairs = range(self.plan.tests.pairs * look // self.plan.tests.looks)
            self._run([job for job in self.comparing_jobs() if job.pair in pairs])
            if self._is_decided(self._level(look)):
                self.level = self._level(look)
                return

    def _level(self, look: int) -> float:
        return level_at(self.plan.tests.alpha, look, self.plan.tests.looks)

    def _is_decided(self, alpha: float) -> bool:
        found = compare(self.plan, self.arms, complete_pairs(self.arms, self.compared()), alpha)
        return bool(found) and all(each.outcome != OPEN for each in found)

    def compared(self) -> list[Run]:
        """The runs of the arms that are compared, in the order of pairs and arms."""
        order = {arm.name: at for at, arm in enumerate(self.arms)}
        runs = [run for run in self.runs if run.arm in order and not self.plan.screens(run.pair)]
        return sorted(runs, key=lambda run: (run.pair, order[run.arm]))

    def comparing_jobs(self) -> list[Job]:
        """All runs of the comparison: pair by pair, so that whatever is finished makes complete pairs."""
        pairs = range(self.plan.tests.pairs)
        return [self._job(arm, pair, keep=True) for pair in pairs for arm in self.arms]

    def searching_jobs(self) -> list[Job]:
        """All runs of the search, to their end."""
        screening = [pair for pair in self.splits if self.plan.screens(pair)]
        return [self._job(arm, pair) for arm in self.tried for pair in screening]

    def _job(self, arm: Arm, pair: int, *, until: int = 0, keep: bool = False) -> Job:
        return make_job(self.plan, arm, pair, self.splits[pair], until=until, keep=keep)

    def _run(self, jobs: Sequence[Job]) -> list[Run]:
        self._forget(jobs)
        done = take_finished(jobs, self.store, self.plan.fingerprint)
        ready = {run.id for run in done}
        fresh: list[Run] = []
        # Whatever is finished when someone stops has been noted by then, and what an earlier look asked for.
        noted = {(run.id, run.arm) for run in self.runs}
        for run in (run for run in done if (run.id, run.arm) not in noted):
            self.runs.append(run)
            self.watcher.finished(run)
        left = [job for job in jobs if job.id not in ready]
        with closing(run_all(left, self.crew, self.store, self.plan.fingerprint)) as results:
            for run in results:
                self.runs.append(run)
                fresh.append(run)
                self.watcher.finished(run)
        return done + fresh

    def _forget(self, jobs: Sequence[Job]) -> None:
        """Runs whose weights are wanted and gone have to be trained again, and with `fresh` all."""
        kept = [job for job in jobs if job.keep]
        absent = [job.id for job in kept if not weights_path(self.folder, job).is_file()]
        # In this order: weights are cleared away after what they gave is in the store.
        asked = self.store.losses(absent)
        gone = [run_id for run_id in absent if run_id not in asked]
        ours = {run.id for run in self.runs}
        self.store.forget(gone + [job.id for job in jobs if self.fresh and job.id not in ours])


def _by_arm(runs: Sequence[Run]) -> Results:
    found: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.pair):
        found.setdefault(run.arm, []).append(run)
    return found


def _send(steps: Generator[list[Wanted], Results], results: Results) -> list[Wanted] | None:
    try:
        return steps.send(results)
    except StopIteration:
        return None
