import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.crew import Alone, Death, Work, make_crew
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.run_id import make_job
from dropkit.experiments.runner import run_all, take_finished
from dropkit.experiments.store import Store
from dropkit.report.messages import Note
from dropkit.report.plan import Arm, Job
from dropkit.report.record import Run, Scores

NAN = Note("failure.score")
DROP = Arm("dropout 0.5", "dropout", rate=0.5)
SAME = Arm("the same", "dropout", rate=0.5)

Place = tuple[str, int]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def make_work(arrays: Any, model: Any = "mlp", arms: tuple[Arm, ...] = (UNREGULARISED, DROP)) -> Work:
    source = ModelSource(model)
    plan, sealed = make_plan(array_dataset(*arrays), source, Options(arms=arms, pairs=6, epochs=1))
    return Work(plan, sealed.opened, sealed.splits, source)


def jobs(work: Work) -> list[Job]:
    pairs = range(work.plan.tests.pairs)
    return [make_job(work.plan, arm, pair, work.splits[pair]) for pair in pairs for arm in work.plan.arms]


def places(work: Work) -> list[Place]:
    return [(job.arm.name, job.pair) for job in jobs(work)]


def train_all(work: Work, store: Store, workers: int = 1) -> list[Run]:
    with make_crew(work, workers) as crew:
        return list(run_all(jobs(work), crew, store, "plan"))


def scores(runs: list[Run]) -> dict[Place, Any]:
    return {(run.arm, run.pair): (run.stop, run.select, run.curve) for run in runs}


def good(job: Job) -> Run:
    mean = Scores(0, job.pair)
    return Run("", job.arm.name, job.pair, 0.05, stop=mean, select=mean)


# --- one process


def test_every_run_comes_once_is_kept_and_is_found_again(arrays: Any, store: Store) -> None:
    work = make_work(arrays)
    runs = train_all(work, store)
    named = [(job.arm.name, job.pair, job.id) for job in jobs(work)]
    assert [(run.arm, run.pair, run.id) for run in runs] == named
    assert {run.plan for run in runs} == {"plan"}
    assert take_finished(jobs(work), store, "plan") == runs


def test_arms_that_are_the_same_train_once(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, trained = make_work(arrays, arms=(UNREGULARISED, DROP, SAME)), []
    train = Work.run

    def counting(self: Work, job: Job) -> Run:
        trained.append(job.arm.name)
        return train(self, job)

    monkeypatch.setattr(Work, "run", counting)
    runs = train_all(work, store)
    assert (len(trained), len(runs)) == (12, 18)
    assert scores(runs)["the same", 3] == scores(runs)["dropout 0.5", 3]


def test_two_studies_at_once_train_nothing_twice(
    arrays: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, trained = make_work(arrays), []

    def slow(self: Work, job: Job) -> Run:
        trained.append((job.arm.name, job.pair))
        time.sleep(0.05)
        return good(job)

    def conduct() -> None:
        with Store(tmp_path) as mine:
            found.append(scores(train_all(work, mine)))

    monkeypatch.setattr(Work, "run", slow)
    found: list[dict[Place, Any]] = []
    both = [threading.Thread(target=conduct) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(trained) == sorted(places(work))
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_a_failure_of_another_study_is_not_tried_again_at_once(
    arrays: Any, store: Store, tmp_path: Path
) -> None:
    work = make_work(arrays)
    job = jobs(work)[0]
    with Store(tmp_path) as other:
        other.finish(job.id, Run("", job.arm.name, job.pair, 0.1, failure=NAN))
    (run,) = run_all([job], Alone(work), store, "plan")
    assert run.failure == NAN


def test_an_interrupted_run_is_free_for_others(
    arrays: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Run:
        raise KeyboardInterrupt

    work = make_work(arrays)
    monkeypatch.setattr(Work, "run", interrupted)
    with Store(tmp_path) as other, pytest.raises(KeyboardInterrupt):
        train_all(work, other)
    assert store.claim([job.id for job in jobs(work)], 1).ours


# --- processes that die, without the cost of starting any


class Mortal:
    """Two places; a run dies as often as it is told to."""

    size = 2

    def __init__(self, deaths: Mapping[Place, int], *, in_run: bool = True) -> None:
        self.in_run = in_run
        self.deaths, self.begun = dict(deaths), list[Place]()
        self._busy: dict[Future[Run], Place] = {}

    @property
    def vacancies(self) -> int:
        return self.size - len(self._busy)

    def begin(self, job: Job) -> Future[Run]:
        future = Future[Run]()
        future.set_result(good(job))
        self._busy[future] = job.arm.name, job.pair
        self.begun.append((job.arm.name, job.pair))
        return future

    def collect(self, future: Future[Run]) -> Run:
        place = self._busy.pop(future)
        if self.deaths.get(place, 0):
            self.deaths[place] -= 1
            raise Death(in_run=self.in_run)
        return future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def settle(work: Work, store: Store, crew: Mortal) -> dict[Place, Note | None]:
    return {(run.arm, run.pair): run.failure for run in run_all(jobs(work), crew, store, "plan")}


def test_a_death_is_followed_by_another_try(arrays: Any, store: Store) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 2})
    assert settle(work, store, crew) == dict.fromkeys(places(work))
    assert crew.begun.count(("none", 2)) == 3
    assert len(crew.begun) == 14


def test_three_deaths_are_a_failure_of_this_run_alone(arrays: Any, store: Store) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 9})
    failures = settle(work, store, crew)
    assert "killed 3 times" in str(failures.pop(("none", 2)))
    assert set(failures.values()) == {None}
    assert len(failures) == 11


def test_a_death_before_the_run_began_is_not_the_runs(arrays: Any, store: Store) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 9}, in_run=False)
    assert settle(work, store, crew) == dict.fromkeys(places(work))


def test_where_all_die_the_study_ends_with_a_mend(arrays: Any, store: Store) -> None:
    work = make_work(arrays)
    crew = Mortal(dict.fromkeys(places(work), 99), in_run=False)
    with pytest.raises(DropkitError, match=r"must fit into memory: 10 were killed.*finished runs are kept"):
        settle(work, store, crew)


# --- real processes


def test_a_killed_process_takes_no_other_run_with_it(arrays: Any, store: Store, tmp_path: Path) -> None:
    work = make_work(arrays)
    expected = scores([replace(run, seconds=0) for run in train_all(work, store)])
    home, mark = os.getpid(), tmp_path / "killed"

    def fatal() -> nn.Module:
        if os.getpid() != home and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ModelSource("mlp").build((3,), 2)

    store.forget([job.id for job in jobs(work)])
    runs = train_all(replace(work, source=ModelSource(fatal)), store, 2)
    assert mark.exists()
    assert scores(runs) == expected
