import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.models import ModelSource
from dropkit.experiments.scoring import score, score_rows
from dropkit.experiments.train import Task, train
from dropkit.experiments.weights import load_weights, predict, read_kept, weights_path
from dropkit.report.paste import code_to_paste
from dropkit.report.plan import Arm

Make = Callable[..., Task]
KEEP = {"keep": True}
ARMS = [
    Arm("input", "input", input_rate=0.2, rate=0.5),
    Arm("ensemble", "ensemble", members=3, bagging=True),
    Arm("late", "late", rate=0.5, schedule="late"),
]


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
@pytest.mark.parametrize("kind", ["data", "line"])
def test_kept_weights_give_the_very_scores_of_the_run(
    make_task: Make, tmp_path: Path, arm: Arm, kind: str, request: pytest.FixtureRequest
) -> None:
    task = make_task(request.getfixturevalue(kind), arm, job=KEEP, folder=tmp_path)
    run = train(task)
    path, parts = weights_path(tmp_path, task.job), task.data.parts(task.split)
    state = torch.get_rng_state()
    for x, y, expected in (
        (parts.x_stop, parts.y_stop, run.stop),
        (parts.x_select, parts.y_select, run.select),
    ):
        outputs = predict(task.plan, arm, task.source, path, x)
        assert outputs.dtype == torch.float32
        assert score(task.plan.data.task, outputs, y, read_kept(path).target) == expected
        errors, nlls = score_rows(task.plan.data.task, outputs, y, read_kept(path).target)
        assert errors is not None
        assert len(errors) == len(nlls) == len(y)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_kept_weights_go_into_the_model_on_which_the_pasted_code_was_run(
    data: Dataset, make_task: Make, tmp_path: Path, arm: Arm
) -> None:
    task = make_task(data, arm, job=KEEP, folder=tmp_path)
    train(task)
    path, x = weights_path(tmp_path, task.job), task.data.parts(task.split).x_select
    shape, classes = task.plan.data.input_shape, task.plan.data.n_outputs
    outputs = []
    for member in range(arm.members):
        names: dict[str, Any] = {"model": task.source.build(shape, classes)}
        exec(code_to_paste(task.plan, arm), names)
        load_weights(names["model"], path, member)
        outputs.append(names["model"].eval()(torch.from_numpy(x)).log_softmax(1))
    together = torch.stack(outputs).logsumexp(0).log_softmax(1)
    torch.testing.assert_close(together, predict(task.plan, arm, task.source, path, x).log_softmax(1))
    with pytest.raises(DropkitError, match="run the code to paste"):
        load_weights(nn.Linear(3, 2), path)
    with pytest.raises(DropkitError, match=f"the {arm.members} that the file holds, from 0, got"):
        load_weights(names["model"], path, arm.members)


class Odd(nn.Module):
    """Tied weights, a lazy layer, a sparse buffer, and one that no state_dict holds but training moves."""

    graph: torch.Tensor
    count: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.last = nn.LazyLinear(3), nn.ReLU(), nn.Linear(3, 2)
        self.second = nn.Linear(3, 3)
        self.third = self.second
        self.register_buffer("graph", torch.eye(3).to_sparse())
        self.register_buffer("count", torch.zeros(()), persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        if self.training:
            self.count += 1
        h = self.third(self.second(self.act(self.first(x)))) @ self.graph.to_dense()
        return self.last(h * (1 + 0.01 * self.count))


def test_an_odd_model_pauses_and_is_kept_like_any(data: Dataset, make_task: Make, tmp_path: Path) -> None:
    arm = Arm("none", "none")
    whole = train(make_task(data, arm, model=Odd))
    assert not whole.failure
    assert train(make_task(data, arm, model=Odd, job={"until": 3}, folder=tmp_path)).paused == 3
    task = make_task(data, arm, model=Odd, job=KEEP, folder=tmp_path)
    assert dataclasses.replace(train(task), seconds=0.0) == dataclasses.replace(whole, seconds=0.0)
    parts = task.data.parts(task.split)
    outputs = predict(task.plan, arm, task.source, weights_path(tmp_path, task.job), parts.x_select)
    kept = read_kept(weights_path(tmp_path, task.job))
    assert score(task.plan.data.task, outputs, parts.y_select, kept.target) == whole.select


def test_nothing_is_kept_of_a_run_that_pauses_or_is_not_asked_to(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    train(make_task(data, ARMS[0], job={"keep": True, "until": 2}, folder=tmp_path))
    train(make_task(data, ARMS[0], job={"trial": "other"}, folder=tmp_path))
    assert not (tmp_path / "weights").exists()


def test_weights_that_cannot_be_written_are_no_failure_of_the_run(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    (tmp_path / "weights").write_text("no folder can be made here")
    with pytest.raises(DropkitError, match=r"out can no longer be written .*make room"):
        train(make_task(data, ARMS[0], job=KEEP, folder=tmp_path))


def test_torn_weights_and_those_of_another_model_are_refused(
    data: Dataset, make_task: Make, tmp_path: Path
) -> None:
    task, x = make_task(data, ARMS[0], job=KEEP, folder=tmp_path), np.zeros((2, 3), dtype=np.float32)
    train(task)
    path = weights_path(tmp_path, task.job)
    with pytest.raises(DropkitError, match="must hold the weights of this model"):
        predict(task.plan, Arm("none", "none"), ModelSource(Odd), path, x)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DropkitError, match="must hold kept weights as written"):
        predict(task.plan, ARMS[0], task.source, path, x)
