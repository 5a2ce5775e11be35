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
from dropkit.experiments import runner
from dropkit.experiments.arms import NONE
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.crew import Death, Work
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.run_id import run_ids
from dropkit.experiments.runner import run_all, take_finished
from dropkit.experiments.split import Sizes, make_splits
from dropkit.experiments.store import Store
from dropkit.report.record import Arm, Run, Scores

DROP = Arm("dropout 0.5", "dropout", rate=0.5)
SAME = Arm("the same", "dropout", rate=0.5)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def make_work(arrays: Any, model: Any = "mlp", arms: tuple[Arm, ...] = (NONE, DROP)) -> Work:
    data, source = array_dataset(*arrays), ModelSource(model)
    plan = make_plan(data, source, Options(arms=arms, pairs=6, epochs=1))
    sizes = Sizes(plan.train_rows, plan.select_rows, plan.test_rows, disjoint=False)
    return Work(plan, data, make_splits(data, sizes, plan.pairs, plan.seed), source)


def ids(work: Work) -> dict[tuple[str, int], str]:
    return run_ids(work.plan, work.splits)


def scores(runs: list[Run]) -> dict[tuple[str, int], Any]:
    return {(run.arm, run.pair): (run.select, run.test, run.curve) for run in runs}


# --- one process


def test_every_run_comes_once_is_kept_and_is_found_again(arrays: Any, store: Store) -> None:
    work = make_work(arrays)
    runs = list(run_all(ids(work), work, store, 1))
    assert {(run.arm, run.pair): run.id for run in runs} == ids(work)
    assert take_finished(ids(work), work.plan, store) == runs


def test_arms_that_are_the_same_train_once(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, trained = make_work(arrays, arms=(NONE, DROP, SAME)), []
    train = Work.run

    def counting(self: Work, arm: Arm, pair: int) -> Run:
        trained.append(arm.name)
        return train(self, arm, pair)

    monkeypatch.setattr(Work, "run", counting)
    runs = list(run_all(ids(work), work, store, 1))
    assert (len(trained), len(runs)) == (12, 18)
    assert scores(runs)["the same", 3] == scores(runs)["dropout 0.5", 3]


def test_two_studies_at_once_train_nothing_twice(
    arrays: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, trained = make_work(arrays), []

    def slow(self: Work, arm: Arm, pair: int) -> Run:
        trained.append((arm.name, pair))
        time.sleep(0.05)
        return Run("", arm.name, pair, 0.05, Scores(0, pair), Scores(0, pair))

    def conduct() -> None:
        with Store(tmp_path) as mine:
            found.append(scores(list(run_all(ids(work), work, mine, 1))))

    monkeypatch.setattr(Work, "run", slow)
    found: list[dict[tuple[str, int], Any]] = []
    both = [threading.Thread(target=conduct) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert sorted(trained) == sorted(ids(work))
    assert found[0] == found[1]
    assert len(found[0]) == 12


def test_a_failure_of_another_study_is_not_tried_again_at_once(
    arrays: Any, store: Store, tmp_path: Path
) -> None:
    work = make_work(arrays)
    (place, run_id), *_ = ids(work).items()
    with Store(tmp_path) as other:
        other.finish(run_id, Run("", *place, 0.1, failure="NaN"))
    (run,) = run_all({place: run_id}, work, store, 1)
    assert run.failure == "NaN"


def test_an_interrupted_run_is_free_for_others(
    arrays: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Run:
        raise KeyboardInterrupt

    work = make_work(arrays)
    monkeypatch.setattr(Work, "run", interrupted)
    with Store(tmp_path) as other, pytest.raises(KeyboardInterrupt):
        list(run_all(ids(work), work, other, 1))
    assert store.claim(ids(work).values(), 1).ours


# --- processes that die, without the cost of starting any


class Mortal:
    """Two places; a run dies as often as it is told to."""

    size = 2

    def __init__(self, deaths: Mapping[tuple[str, int], int], *, in_run: bool = True) -> None:
        self.in_run = in_run
        self.deaths, self.begun = dict(deaths), list[tuple[str, int]]()
        self._busy: dict[Future[Run], tuple[str, int]] = {}

    @property
    def vacancies(self) -> int:
        return self.size - len(self._busy)

    def begin(self, arm: Arm, pair: int) -> Future[Run]:
        future = Future[Run]()
        future.set_result(Run("", arm.name, pair, 0.1, Scores(0, pair), Scores(0, pair)))
        self._busy[future] = arm.name, pair
        self.begun.append((arm.name, pair))
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


def settle(
    work: Work, store: Store, crew: Mortal, monkeypatch: pytest.MonkeyPatch
) -> dict[tuple[str, int], str]:
    monkeypatch.setattr(runner, "make_crew", lambda *_: crew)
    return {(run.arm, run.pair): run.failure for run in run_all(ids(work), work, store, 2)}


def test_a_death_is_followed_by_another_try(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 2})
    assert settle(work, store, crew, monkeypatch) == dict.fromkeys(ids(work), "")
    assert crew.begun.count(("none", 2)) == 3
    assert len(crew.begun) == 14


def test_three_deaths_are_a_failure_of_this_run_alone(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 9})
    failures = settle(work, store, crew, monkeypatch)
    assert "killed 3 times" in failures.pop(("none", 2))
    assert set(failures.values()) == {""}
    assert len(failures) == 11


def test_a_death_before_the_run_began_is_not_the_runs(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, crew = make_work(arrays), Mortal({("none", 2): 9}, in_run=False)
    assert settle(work, store, crew, monkeypatch) == dict.fromkeys(ids(work), "")


def test_where_all_die_the_study_ends_with_a_mend(
    arrays: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = make_work(arrays)
    crew = Mortal(dict.fromkeys(ids(work), 99), in_run=False)
    with pytest.raises(DropkitError, match=r"must fit into memory: 10 were killed.*finished runs are kept"):
        settle(work, store, crew, monkeypatch)


# --- real processes


def test_a_killed_process_takes_no_other_run_with_it(arrays: Any, store: Store, tmp_path: Path) -> None:
    work = make_work(arrays)
    expected = scores([replace(run, seconds=0) for run in run_all(ids(work), work, store, 1)])
    home, mark = os.getpid(), tmp_path / "killed"

    def fatal() -> nn.Module:
        if os.getpid() != home and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return ModelSource("mlp").build((3,), 2)

    store.forget(ids(work).values())
    runs = list(run_all(ids(work), replace(work, source=ModelSource(fatal)), store, 2))
    assert mark.exists()
    assert scores(runs) == expected
