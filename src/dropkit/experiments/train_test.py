import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dropkit.core.check import DropkitError
from dropkit.experiments.arms import NONE
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.dataset import CLASSIFICATION, Dataset
from dropkit.experiments.models import ModelSource, mlp
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.split import Sizes, make_splits
from dropkit.experiments.train import Task, _balanced, _loss, train
from dropkit.report.record import Arm, Run

DROP = Arm("dropout 0.5", "dropout", rate=0.5)
NOTHING = Arm("dropout 0", "dropout")
ARMS = (NONE, DROP, NOTHING)


def task(
    data: Dataset, arm: Arm = NONE, pair: int = 0, model: Any = "mlp", epochs: int = 3, **options: Any
) -> Task:
    source = ModelSource(model)
    plan = make_plan(data, source, Options(arms=ARMS, pairs=6, epochs=epochs, **options))
    sizes = Sizes(plan.train_rows, plan.select_rows, plan.test_rows, disjoint=False)
    return Task(plan, arm, pair, data, make_splits(data, sizes, 6, 0)[pair], source)


@pytest.fixture
def data(arrays: Any) -> Dataset:
    return array_dataset(*arrays)


@pytest.fixture
def line(arrays: Any) -> Dataset:
    """A regression in units far from one."""
    x, _ = arrays
    return array_dataset(x, 5000 + 200 * x[:, 0])


def scores(run: Run) -> tuple[Any, ...]:
    assert not run.failure
    return run.select, run.test, run.curve


def test_a_run_repeats_to_the_bit_and_a_pair_is_another(data: Dataset) -> None:
    first = scores(train(task(data, DROP)))
    torch.rand(7)  # whatever the caller draws in between
    again, other = (scores(train(task(data, DROP, pair))) for pair in (0, 1))
    assert first == again
    assert first != other


def test_balanced_weights_give_every_class_the_same_share_of_the_loss() -> None:
    y = torch.tensor([0] * 60 + [1] * 6 + [2] * 3)
    outputs = torch.randn(69, 3, generator=torch.Generator().manual_seed(0))
    each = nn.functional.cross_entropy(outputs, y, reduction="none")
    of_classes = torch.stack([each[y == level].mean() for level in range(3)])
    weighed = _loss(outputs, y, CLASSIFICATION, _balanced(y, 3))
    assert torch.allclose(weighed, of_classes.mean(), rtol=1e-5)


def test_balanced_training_calls_more_rows_rare() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(600) % 12 == 0).astype(int)
    data = array_dataset(rng.normal(size=(600, 2)) + 1.2 * y[:, None], y)
    plain, balanced = (train(task(data, epochs=20, class_weight=weight)) for weight in ("none", "balanced"))
    assert plain.test is not None
    assert balanced.test is not None
    # Who is made to look for the rare class calls more rows rare, and so errs more often over all rows.
    assert plain.test.error + 0.05 < balanced.test.error


def test_a_regression_has_no_classes_to_weigh(line: Dataset) -> None:
    with pytest.raises(DropkitError, match="class_weight must be 'none' for a regression"):
        task(line, class_weight="balanced")


def test_an_arm_that_changes_nothing_sees_what_none_sees(data: Dataset) -> None:
    # Same split, initial weights and data order, or a paired difference would hold more than the arm.
    assert scores(train(task(data, NOTHING))) == scores(train(task(data)))
    assert scores(train(task(data, DROP))) != scores(train(task(data)))


def test_the_data_order_is_the_pairs_own(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    orders: list[list[int]] = []
    draw = torch.randperm

    def watched(rows: int, generator: torch.Generator) -> Tensor:
        orders.append(draw(rows, generator=generator).tolist())
        return torch.tensor(orders[-1])

    monkeypatch.setattr(torch, "randperm", watched)
    for arm, pair in ((NONE, 0), (DROP, 0), (NONE, 1)):
        train(task(data, arm, pair, epochs=1))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_weight_decay_reaches_the_optimizer(data: Dataset) -> None:
    decayed = dataclasses.replace(NONE, weight_decay=100.0)
    assert scores(train(task(data, decayed))) != scores(train(task(data)))


def test_the_callers_generator_and_threads_are_left_alone(data: Dataset) -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train(task(data, DROP))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_the_test_part_is_not_seen_before_the_last_epoch(data: Dataset) -> None:
    job = task(data, epochs=3)
    spoilt = job.data.y.copy()
    spoilt[job.split.test] = 1 - spoilt[job.split.test]
    upside_down = dataclasses.replace(job, data=dataclasses.replace(data, y=spoilt))
    straight, turned = train(job), train(upside_down)
    assert straight.curve == turned.curve
    assert straight.select == turned.select
    assert straight.test is not None
    assert turned.test is not None
    assert straight.test.error == pytest.approx(1 - turned.test.error)


def test_error_and_nll_are_those_of_the_model(data: Dataset) -> None:
    class Constant(nn.Module):
        """Says class 1 with probability 3/4 whatever it is given."""

        def __init__(self) -> None:
            super().__init__()
            self.unused = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))

        def forward(self, x: Tensor) -> Any:
            return 0.0 * self.unused(x) + torch.tensor([0.0, np.log(3.0)])

    job = task(data, model=Constant, epochs=1)
    share = float(data.y[job.split.test].mean())
    found = train(job).test
    assert found is not None
    assert found.error == pytest.approx(1 - share)
    assert found.nll == pytest.approx(-share * np.log(0.75) - (1 - share) * np.log(0.25))


def test_regression_is_scored_in_units_of_the_target(line: Dataset) -> None:
    run = train(task(line, epochs=60))
    assert run.test is not None
    assert run.select is not None
    assert 1 < run.test.error < 100
    # NLL of residuals with the variance of the select part: the definition, in units of the target.
    variance = run.select.error**2
    expected = 0.5 * np.log(2 * np.pi * variance) + run.test.error**2 / (2 * variance)
    assert run.test.nll == pytest.approx(expected, rel=1e-5)


class Exploding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp((3,), 2)

    def forward(self, x: Tensor) -> Any:
        return self.net(x) * (float("nan") if self.training else 1.0)


class Falling(Exploding):
    def forward(self, x: Tensor) -> Any:
        if self.training and len(x) > 4:  # the first try of a model, with four rows, sees nothing wrong
            raise KeyError("a layer that is not there")
        return self.net(x)


@pytest.mark.parametrize(("model", "reason"), [(Exploding, "loss became nan"), (Falling, "not there")])
def test_a_run_that_fails_says_why_and_stops_nobody(
    data: Dataset, model: type[nn.Module], reason: str
) -> None:
    run = train(task(data, model=model))
    assert reason in run.failure
    assert run.test is None
