"""Runs that pause or are cut off go on to the bits of an undisturbed one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dropkit.experiments import course as course_file
from dropkit.experiments import train as train_file
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.train import Task, train
from dropkit.report.plan import Arm
from dropkit.report.record import Run

Make = Callable[..., Task]
NONE = Arm("none", "none")
DROP = Arm("dropout", "dropout", rate=0.5)


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
        assert half.select is None
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
