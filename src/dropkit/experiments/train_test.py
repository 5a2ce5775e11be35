import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropkit.experiments import course as course_file
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.models import mlp
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.train import Task, train
from dropkit.report.plan import Arm
from dropkit.report.record import Run, Scores

Make = Callable[..., Task]
NONE = Arm("none", "none")
DROP = Arm("dropout", "dropout", rate=0.5)


def scores(run: Run) -> tuple[Any, ...]:
    assert not run.failure
    assert run.stop is not None
    assert run.select is not None
    return run.stop, run.select, run.curve, run.epochs, run.steps


def test_a_run_repeats_to_the_bit_and_a_pair_is_another(data: Dataset, make_task: Make) -> None:
    first = scores(train(make_task(data, DROP)))
    torch.rand(7)  # whatever the caller draws in between
    again, other = (scores(train(make_task(data, DROP, pair))) for pair in (0, 1))
    assert first == again
    assert first != other


def test_the_callers_generators_and_threads_are_left_alone(data: Dataset, make_task: Make) -> None:
    task = make_task(data, DROP)
    threads, state, numbers = torch.get_num_threads(), torch.get_rng_state(), repr(np.random.get_state())
    train(task)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert repr(np.random.get_state()) == numbers


# Each of these fields, alone, makes another run of the same pair.
FIELDS: dict[str, Any] = {
    "learning_rate": 3e-3,
    "weight_decay": 10.0,
    "rate": 0.5,
    "input_rate": 0.5,
    "l1": 0.01,
    "l2": 0.1,
    "max_norm": 0.3,
    "label_smoothing": 0.3,
    "augment": 0.2,
    "members": 3,
    "bagging": True,
    "share": 0.5,
}


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_of_an_arm_changes_the_run(images: Dataset, make_task: Make, name: str) -> None:
    changed = dataclasses.replace(NONE, **{name: FIELDS[name]})
    assert scores(train(make_task(images, changed))) != scores(train(make_task(images, NONE)))


def test_fields_that_need_dropout_change_a_run_that_has_it(images: Dataset, make_task: Make) -> None:
    arms = [DROP, *(dataclasses.replace(DROP, **change) for change in ({"r_drop": 1.0}, {"at": ("2",)}))]
    arms += [dataclasses.replace(DROP, schedule=name) for name in ("early", "late")]
    arms += [dataclasses.replace(DROP, method="gaussian_dropout")]
    found = [scores(train(make_task(images, arm))) for arm in arms]
    assert all(one != other for at, one in enumerate(found) for other in found[:at])


def test_an_arm_that_changes_nothing_sees_what_none_sees(data: Dataset, make_task: Make) -> None:
    # Same split, initial weights and data order, or a paired difference would hold more than the arm.
    nothing = Arm("dropout 0", "dropout", method="gaussian_dropout", at=("2",), learning_rate=1e-2)
    assert scores(train(make_task(data, nothing))) == scores(train(make_task(data, NONE)))


def test_the_data_order_is_the_pairs_own(
    data: Dataset, make_task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[list[int]] = []
    draw = torch.randperm

    def watched(rows: int, generator: torch.Generator) -> Tensor:
        orders.append(draw(rows, generator=generator).tolist())
        return torch.tensor(orders[-1])

    monkeypatch.setattr(torch, "randperm", watched)
    pairs = ((NONE, 0), (DROP, 0), (dataclasses.replace(NONE, members=2), 0), (NONE, 1))
    for arm, pair in pairs:
        train(make_task(data, arm, pair, epochs=2 if arm.members == 2 else 1))
    assert orders[0] == orders[1] == orders[2]
    assert orders[0] != orders[3]  # another network of the ensemble
    assert orders[0] != orders[4]  # another pair


class Watched(nn.Module):
    """Notes what it is shown while it trains."""

    seen: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.net = mlp((3,), 2)
        Watched.seen = []

    def forward(self, x: Tensor) -> Any:
        if self.training:
            Watched.seen.append(x.clone())
        return self.net(x)


def rows_of(task: Task) -> list[tuple[float, ...]]:
    assert not train(task).failure
    return sorted(tuple(row) for row in torch.cat(Watched.seen).tolist())


def test_a_smaller_share_lies_inside_a_larger_one_and_takes_as_many_steps(make_task: Make) -> None:
    x = np.random.default_rng(0).normal(size=(320, 3))
    data, parts = array_dataset(x, (x[:, 0] > 0).astype(int)), []
    usual = {"epochs": 4, "checks": 1, "model": Watched}
    for share in (0.25, 0.5, 1.0):
        task = make_task(data, dataclasses.replace(NONE, share=share), **usual)
        parts.append(rows_of(task))
        # Batches of at most 16 rows: 3, 5 and 10 in an epoch, of which 13, 8 and 4 make about 40.
        assert len(Watched.seen) == train(task).steps == {0.25: 39, 0.5: 40, 1.0: 40}[share]
    # Rows are standardised by the share that is used: they are told apart by their number alone.
    assert [len(set(part)) for part in parts] == [40, 80, 160]


def test_bagging_draws_rows_with_replacement_once_for_each_network(data: Dataset, make_task: Make) -> None:
    arm = dataclasses.replace(NONE, bagging=True)
    rows = rows_of(make_task(data, arm, model=Watched, epochs=2, checks=1))
    counts = [rows.count(row) for row in set(rows)]
    assert sum(counts) == 80
    assert len(counts) < 40  # all 40 rows in 40 draws: 40! / 40**40, or 7e-17
    assert all(count % 2 == 0 for count in counts)  # the same rows in both epochs


def test_an_ensemble_divides_the_epochs_and_averages_probabilities(data: Dataset, make_task: Make) -> None:
    alone, three = (train(make_task(data, dataclasses.replace(NONE, members=n), epochs=6)) for n in (1, 3))
    assert scores(alone)
    assert scores(three)
    assert three.steps == alone.steps
    assert [point.epoch for point in three.curve] == [1, 2]


def test_a_member_alone_is_none_at_so_many_epochs(data: Dataset, make_task: Make) -> None:
    course = course_file.Course(make_task(data, dataclasses.replace(NONE, members=3), epochs=6))
    none = course_file.Course(make_task(data, NONE, epochs=2))
    for each in (course, none):
        while not each.ended:
            each.advance()
    first, second, _ = (course_file.snapshot(model) for model in course.models)
    alone = course_file.snapshot(none.models[0])
    assert all(torch.equal(first[name], value) for name, value in alone.items())
    assert not all(torch.equal(second[name], value) for name, value in alone.items())


class Planned(nn.Module):
    """Its error on any row is what a list says for the epoch, whatever it learns."""

    errors: tuple[float, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 1))
        self.register_buffer("epochs", torch.zeros((), dtype=torch.int64))
        self.fresh = False

    def forward(self, x: Tensor) -> Any:
        if self.training:
            self.fresh = True
        elif self.fresh:
            self.get_buffer("epochs").add_(1)
            self.fresh = False
        at = int(self.get_buffer("epochs")) - 1
        miss = self.errors[at] if 0 <= at < len(self.errors) else 0.0
        return 0.0 * self.unused(x) + miss


@pytest.mark.parametrize(
    ("errors", "patience", "kept", "ended"),
    [
        ((5, 3, 2, 4, 1, 6), 6, 5, 6),
        ((5, 3, 2, 4, 1, 6), 1, 3, 4),
        ((5, 3, 3, 3, 4, 3), 3, 2, 5),  # the first of equals
        ((1, 2, 2, 2, 0, 0), 3, 1, 4),
    ],
)
def test_the_best_check_is_kept_and_patience_ends_training(
    make_task: Make, errors: tuple[float, ...], patience: int, kept: int, ended: int
) -> None:
    rng = np.random.default_rng(0)
    data = array_dataset(rng.normal(size=(80, 3)), np.where(np.arange(80) % 2, 1.0, 3.0), task="regression")
    model = type("Case", (Planned,), {"errors": errors})
    run = train(make_task(data, NONE, model=model, epochs=6, patience=patience, batch=64))
    assert not run.failure
    assert run.epochs == kept
    assert len(run.curve) == ended == run.steps
    assert run.stop == run.curve[kept - 1].stop


def test_the_best_check_is_that_of_the_planned_metric(data: Dataset, make_task: Make) -> None:
    usual = {"epochs": 12, "checks": 12, "patience": 12, "learning_rate": 0.1}
    kept = []
    for order in (("error", "nll"), ("nll", "error")):
        run = train(make_task(data, NONE, metric=order[0], **usual))
        best = min(run.curve, key=lambda point: [getattr(point.stop, name) for name in order])
        assert run.epochs == best.epoch
        assert run.stop == best.stop
        kept.append(run.epochs)
    assert kept[0] != kept[1]


def turned(task: Task, part: str) -> Task:
    y = task.data.y.copy()
    y[vars(task.split)[part]] = 1 - y[vars(task.split)[part]]
    return dataclasses.replace(task, data=dataclasses.replace(task.data, y=y))


def test_the_select_part_decides_nothing(data: Dataset, make_task: Make) -> None:
    task = make_task(data, NONE)
    straight, other = train(task), train(turned(task, "select"))
    assert (straight.curve, straight.epochs, straight.stop) == (other.curve, other.epochs, other.stop)
    assert straight.select is not None
    assert other.select is not None
    assert straight.select.error == pytest.approx(1 - other.select.error)


def test_the_stop_part_decides_when_to_stop_and_trains_nothing(data: Dataset, make_task: Make) -> None:
    task = make_task(data, NONE, patience=2)
    straight, other = train(task), train(turned(task, "stop"))
    assert straight.epochs != other.epochs
    both = list(zip(straight.curve, other.curve, strict=False))
    assert all(one.train == two.train for one, two in both)


def test_scores_are_of_the_kept_weights(data: Dataset, make_task: Make) -> None:
    long = train(make_task(data, NONE, epochs=30, checks=30, patience=30, learning_rate=0.1))
    assert long.epochs < 30
    short = train(make_task(data, NONE, epochs=long.epochs, checks=30, learning_rate=0.1))
    assert (long.stop, long.select) == (short.stop, short.select)


def test_regression_is_scored_in_units_of_the_target(line: Dataset, make_task: Make) -> None:
    run = train(make_task(line, NONE, epochs=60, patience=60))
    assert run.stop is not None
    assert run.select is not None
    assert 1 < run.select.error < 100
    # NLL of residuals with the variance of the stop part: the definition, in units of the target.
    variance = run.stop.error**2
    assert run.stop.nll == pytest.approx(0.5 * np.log(2 * np.pi * variance) + 0.5)
    expected = 0.5 * np.log(2 * np.pi * variance) + run.select.error**2 / (2 * variance)
    assert run.select.nll == pytest.approx(expected)


def test_balanced_training_calls_more_rows_rare(make_task: Make) -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 12 == 0).astype(int)
    data = array_dataset(rng.normal(size=(600, 2)) + 1.2 * y[:, None], y)
    called_rare = Recipe(metric=lambda y, shown: shown[:, 1] > 0.5)
    plain, balanced = (
        scores(train(make_task(data, NONE, metric="nll", class_weight=weight, recipe=called_rare)))[1].error
        for weight in ("none", "balanced")
    )
    assert plain + 0.05 < balanced


class Exploding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp((3,), 2)

    def forward(self, x: Tensor) -> Any:
        return self.net(x) * (float("nan") if self.training else 1.0)


class Falling(Exploding):
    def forward(self, x: Tensor) -> Any:
        if self.training:
            raise KeyError("a layer that is not there")
        return self.net(x)


@pytest.mark.parametrize(("model", "reason"), [(Exploding, "loss became nan"), (Falling, "not there")])
def test_a_run_that_fails_says_why_and_stops_nobody(
    data: Dataset, make_task: Make, model: type[nn.Module], reason: str
) -> None:
    run = train(make_task(data, NONE, model=model))
    assert reason in str(run.failure)
    assert run.select is None
    assert (run.id, run.arm, run.pair) == ("run", "none", 0)


def test_scores_are_plain_numbers(data: Dataset, make_task: Make) -> None:
    run = train(make_task(data, NONE))
    for each in (run.stop, run.select):
        assert isinstance(each, Scores)
        assert type(each.error) is type(each.nll) is float
