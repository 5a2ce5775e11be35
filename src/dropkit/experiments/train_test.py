import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropkit.experiments import course as course_file
from dropkit.experiments import train as train_file
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.models import mlp
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.train import Task, train
from dropkit.report.record import Arm, Run, Scores

Make = Callable[..., Task]
NONE = Arm("none", "none")
DROP = Arm("dropout", "dropout", rate=0.5)


def scores(run: Run) -> tuple[Any, ...]:
    assert not run.failure
    assert run.stop is not None
    assert run.select is not None
    return run.stop, run.select, run.curve, run.epochs, run.steps


@pytest.fixture
def images() -> Dataset:
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    return array_dataset(rng.normal(size=(80, 1, 8, 8)) + y[:, None, None, None], y)


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
    assert reason in run.failure
    assert run.select is None
    assert (run.id, run.arm, run.pair) == ("run", "none", 0)


# Everything that has state of its own: dropout on a schedule, shifts, batch normalisation, several networks.
def normalised() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.LazyLinear(16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2)
    )


BUSY = [
    Arm("busy", "busy", rate=0.5, schedule="late", input_rate=0.1, augment=0.2, members=2, bagging=True),
    Arm("own", "own", keeps_own=True, max_norm=1.0, l1=1e-4),
    Arm("r", "r", rate=0.3, method="gaussian_dropout", r_drop=1.0, share=0.5, weight_decay=0.1),
]
LONG: dict[str, Any] = {"epochs": 12, "checks": 4, "patience": 3, "model": normalised}


def untimed(run: Run) -> Run:
    return dataclasses.replace(run, seconds=0.0)


@pytest.mark.parametrize("arm", BUSY, ids=lambda arm: arm.name)
def test_a_paused_run_goes_on_to_the_bits_of_an_undisturbed_one(
    images: Dataset, make_task: Make, tmp_path: Path, arm: Arm
) -> None:
    whole = train(make_task(images, arm, job={"keep": True}, folder=tmp_path / "one", **LONG))
    assert not whole.failure
    for until in (1, 4, 5):
        half = train(make_task(images, arm, job={"until": until}, folder=tmp_path / "two", **LONG))
        assert half.paused == until
        assert half.select is not None
        assert half.curve == whole.curve[: len(half.curve)]
        assert train(make_task(images, arm, job={"until": until}, folder=tmp_path / "two", **LONG)).curve == (
            half.curve
        )
        torch.rand(3)
    rest = train(make_task(images, arm, job={"keep": True}, folder=tmp_path / "two", **LONG))
    assert untimed(rest) == untimed(whole)
    assert rest.seconds > half.seconds
    files = [folder / "weights" / "run.safetensors" for folder in (tmp_path / "one", tmp_path / "two")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert not list(tmp_path.rglob("checkpoints/*"))


def test_the_best_weights_may_be_those_from_before_a_pause(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    usual = {"epochs": 30, "checks": 30, "patience": 30, "learning_rate": 0.1}
    whole = train(make_task(data, NONE, **usual))
    assert 0 < whole.epochs < 25
    train(make_task(data, NONE, job={"until": 25}, folder=tmp_path, **usual))
    assert untimed(train(make_task(data, NONE, folder=tmp_path, **usual))) == untimed(whole)


def test_the_second_half_of_a_paused_run_is_not_trained_from_the_start(
    data: Dataset, make_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(make_task(data, DROP, job={"until": 4}, folder=tmp_path))
    epochs = []
    advance = course_file.Course.advance

    def watched(self: Any) -> bool:
        epochs.append(self.epoch)
        return advance(self)

    monkeypatch.setattr(course_file.Course, "advance", watched)
    train(make_task(data, DROP, folder=tmp_path))
    assert epochs == [4, 5]


def test_a_pause_at_an_epoch_that_is_past_trains_from_the_start(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    early = train(make_task(data, DROP, job={"until": 2}, folder=tmp_path / "one"))
    train(make_task(data, DROP, job={"until": 4}, folder=tmp_path / "two"))
    again = train(make_task(data, DROP, job={"until": 2}, folder=tmp_path / "two"))
    assert untimed(again) == untimed(early)


def test_a_pause_beyond_the_end_is_the_end(data: Dataset, make_task: Make, tmp_path: Path) -> None:
    run = train(make_task(data, NONE, job={"until": 6}, folder=tmp_path))
    assert run.paused == 0
    assert not list(tmp_path.rglob("checkpoints/*"))


@pytest.mark.parametrize("harm", ["torn", "foreign", "other model"])
def test_a_checkpoint_that_does_not_fit_is_ignored(
    data: Dataset, make_task: Make, tmp_path: Path, harm: str
) -> None:
    straight = train(make_task(data, DROP))
    file = tmp_path / "checkpoints" / "trial.safetensors"
    if harm == "other model":
        small = make_task(data, DROP, job={"until": 3}, folder=tmp_path, model=normalised)
        assert train(small).paused == 3
    else:
        name = "trial" if harm == "torn" else "another"
        other = DROP if harm == "torn" else dataclasses.replace(DROP, learning_rate=0.05)
        train(make_task(data, other, job={"until": 3, "trial": name}, folder=tmp_path))
        content = (file.parent / f"{name}.safetensors").read_bytes()
        file.write_bytes(content if harm == "foreign" else content[:-1] + bytes([content[-1] ^ 1]))
    assert untimed(train(make_task(data, DROP, folder=tmp_path))) == untimed(straight)


def test_a_long_run_that_is_cut_off_goes_on_from_its_last_check(
    data: Dataset, make_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_file, "CHECKPOINT_SECONDS", 0.0)
    advance = course_file.Course.advance
    begun: list[int] = []

    def cut_off(self: Any) -> bool:
        begun.append(self.epoch)
        if len(begun) == 5:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(course_file.Course, "advance", cut_off)
    with pytest.raises(KeyboardInterrupt):
        train(make_task(data, DROP, folder=tmp_path))
    found = train(make_task(data, DROP, folder=tmp_path))
    assert begun == [0, 1, 2, 3, 4, 4, 5]
    assert untimed(found) == untimed(train(make_task(data, DROP)))


def test_a_short_run_writes_nothing(
    data: Dataset, make_task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_file, "save_checkpoint", lambda *_: pytest.fail("a checkpoint"))
    assert not train(make_task(data, DROP, folder=tmp_path)).failure
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints").write_text("no folder can be made here")
    half = train(make_task(data, DROP, job={"until": 3}, folder=tmp_path))
    assert half.paused == 3
    straight = train(make_task(data, DROP))
    (tmp_path / "checkpoints").unlink()
    assert untimed(train(make_task(data, DROP, folder=tmp_path))) == untimed(straight)


def test_a_pause_before_the_first_check_has_no_scores(data: Dataset, make_task: Make, tmp_path: Path) -> None:
    run = train(make_task(data, NONE, job={"until": 3}, folder=tmp_path, checks=1))
    assert (run.paused, run.stop, run.select) == (3, None, None)


def test_scores_are_plain_numbers(data: Dataset, make_task: Make) -> None:
    run = train(make_task(data, NONE))
    for each in (run.stop, run.select):
        assert isinstance(each, Scores)
        assert type(each.error) is type(each.nll) is float
