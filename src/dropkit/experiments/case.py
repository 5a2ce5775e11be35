"""One study between its plan and its answer: run the stages, open the sealed part, say the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dropkit.core.check import DropkitError
from dropkit.experiments import question_zero
from dropkit.experiments.checkpoint import checkpoint_path
from dropkit.experiments.crew import Trainer, Work, make_crew
from dropkit.experiments.models import ModelSource
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.sealed import Sealed
from dropkit.experiments.stages import Stages
from dropkit.experiments.store import FILE, Store
from dropkit.experiments.summary import Pairs, compare, complete_pairs, summarise, with_luck
from dropkit.experiments.table_hash import table_hash
from dropkit.experiments.vault import ByArm, Vault, calibration, sealed_scores
from dropkit.experiments.verdict import judge
from dropkit.experiments.weights import read_kept, weights_path
from dropkit.report.plan import AS_BROUGHT, NONE, Job, Plan
from dropkit.report.record import Run, StudyResult
from dropkit.report.watcher import Watcher

__all__ = ["MODEL", "PAGE", "RECORD", "Case", "How"]

PAGE, RECORD, MODEL = "report.html", "study.json", "model.safetensors"


@dataclass(frozen=True)
class How:
    """What does not decide what is found: processes, whether old runs count or any are made, language."""

    workers: int
    fresh: bool = False
    dry_run: bool = False
    lang: str = "en"
    ray: str | None = None
    crew: Callable[[Work], Trainer] | None = None

    def crew_for(self, work: Work) -> Trainer:
        """Who trains; a dry run needs nobody, so that this process stands there."""
        return make_crew(work, 1) if self.dry_run else make_crew(work, self.workers, self.ray, self.crew)


@dataclass(frozen=True)
class Case:
    """One study between its plan and its answer."""

    plan: Plan
    sealed: Sealed
    source: ModelSource
    recipe: Recipe
    store: Store
    place: Path

    def answer(self, watcher: Watcher, how: How, changed: tuple[str, ...]) -> StudyResult:
        """Run all stages and conclude; after Ctrl-C from whatever is finished."""
        work = Work(self.plan, self.sealed.opened, self.sealed.splits, self.source, self.place, self.recipe)
        with how.crew_for(work) as crew:
            stages = Stages(
                *(self.plan, self.sealed.splits, crew, self.store, watcher, self.place),
                *(self.recipe, how.fresh),
            )
            stopped = not how.dry_run and self._interrupted(stages, watcher)
        return self._conclude(stages, changed, how.lang, stopped=stopped)

    def _interrupted(self, stages: Stages, watcher: Watcher) -> bool:
        try:
            with watcher:
                stages.all()
        except KeyboardInterrupt:
            return True
        return False

    def _conclude(self, stages: Stages, changed: tuple[str, ...], lang: str, *, stopped: bool) -> StudyResult:
        """The answer from whatever is finished."""
        plan, runs = self.plan, stages.compared()
        pairs = complete_pairs(stages.arms, runs)
        comparisons = compare(plan, stages.arms, pairs, stages.level)
        arms = summarise(plan, stages.arms, runs, pairs)
        families = with_luck(plan, stages.families, arms)
        fit = question_zero.answer(plan, stages.runs)
        # The sealed part is not opened for half a study: it would have to be opened again.
        losses = self._open(stages, pairs) if pairs and not stopped else {}
        sealed = sealed_scores(plan, losses, self.sealed.vault.groups) if NONE in losses else ()
        verdict = judge(
            plan,
            comparisons,
            arms,
            families,
            fit,
            sealed,
            complete_pairs=len(pairs),
            stopped_early=stopped,
            changed=changed,
            lang=lang,
        )
        if stages.arms and not stopped:
            self._keep_best(stages, verdict.recommended, pairs)
        return StudyResult(
            plan=plan,
            runs=_in_order(stages.runs),
            families=families,
            arms=arms,
            comparisons=comparisons,
            fit=fit,
            sealed=sealed,
            calibration=calibration(plan, losses, (AS_BROUGHT, NONE, verdict.recommended)),
            verdict=verdict,
            complete_pairs=len(pairs),
            stopped_early=stopped,
            seconds=0.0,
            files=self._files(),
            changed=changed,
            openings=self.store.openings(),
            tried=stages.tried,
            table_hash=table_hash(_in_order(stages.runs), families, arms, comparisons, sealed),
        )

    def _open(self, stages: Stages, pairs: Pairs) -> ByArm:
        vault = Vault(
            *(self.plan, self.sealed.opened, self.sealed.vault, self.sealed.splits),
            *(self.source, self.recipe, self.store, self.place),
        )
        steady = {name for name in next(iter(pairs.values())) if all(name in each for each in pairs.values())}
        jobs = [job for job in stages.comparing_jobs() if job.pair in pairs and job.arm.name in steady]
        return vault.read(jobs)

    def _keep_best(self, stages: Stages, recommended: str, pairs: Pairs) -> None:
        """Of the kept weights those of the recommended arm that did best on their stop part stay."""
        runs = [(each[recommended], pair) for pair, each in pairs.items() if recommended in each]
        jobs = {(job.arm.name, job.pair): job for job in stages.comparing_jobs()}
        best = min(
            runs, key=lambda item: [getattr(item[0].stop, name) for name in self.plan.metrics], default=None
        )
        if best:
            self._take_home(jobs[recommended, best[1]])
        # Ours alone: another study on the folder may still need its own.
        for job in (*jobs.values(), *stages.searching_jobs()):
            for path in (weights_path(self.place, job), checkpoint_path(self.place, job)):
                path.unlink(missing_ok=True)
                with suppress(OSError):  # gone, or not empty
                    path.parent.rmdir()

    def _take_home(self, job: Job) -> None:
        """Make the network of a run the study's model; one that is of another run does not stay."""
        model = self.place / MODEL
        try:
            weights_path(self.place, job).replace(model)
        except FileNotFoundError:  # kept long ago, or just now by another study on the folder
            with suppress(DropkitError):
                if read_kept(model).run == job.id:
                    return
            model.unlink(missing_ok=True)

    def _files(self) -> dict[str, str]:
        names = [PAGE, RECORD, FILE, *([MODEL] if (self.place / MODEL).is_file() else [])]
        return {name: str(self.place / name) for name in names}


def _in_order(runs: Sequence[Run]) -> tuple[Run, ...]:
    """However many workers there were; a run that was asked for twice stands once."""
    by_place = {(run.pair, run.arm, run.paused): run for run in runs}
    return tuple(by_place[place] for place in sorted(by_place))
