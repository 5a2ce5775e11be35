import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.recipe import PLAIN, Configured, Recipe
from dropkit.experiments.train import Task, train
from dropkit.report.plan import Arm
from dropkit.report.record import Run

Make = Callable[..., Task]
NONE = Arm("none", "none")
TUNED = Arm("tuned", "tuned", learning_rate=0.2, weight_decay=0.3)
OWN = Arm("as brought", "own", keeps_own=True)

FILE = """
from torch.nn import functional as F
def loss(outputs, y):
    return F.multi_margin_loss(outputs, y)
def step(model, batch, optimizer):
    optimizer.zero_grad()
    value = loss(model(batch[0]), batch[1])
    value.backward()
    optimizer.step()
    return value
def metric(y, shown):
    return shown.argmax(1) != y
number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(FILE)
    return path


def ran(task: Task) -> Run:
    run = train(task)
    assert not run.failure
    return run


def test_pieces_from_a_file_do_what_dropkits_own_do(data: Dataset, make_task: Make, file: Path) -> None:
    plain = ran(make_task(data, NONE))
    margin = ran(make_task(data, NONE, recipe=Recipe(loss=f"{file}:loss")))
    stepped = ran(make_task(data, NONE, recipe=Recipe(step=f"{file}:step")))
    measured = ran(make_task(data, NONE, recipe=Recipe(metric=f"{file}:metric")))
    assert margin.curve == stepped.curve != plain.curve
    assert measured.curve == plain.curve


def test_penalties_and_limits_reach_a_step_of_the_users(data: Dataset, make_task: Make, file: Path) -> None:
    own = Recipe(step=f"{file}:step")
    curves = [
        ran(make_task(data, arm, recipe=own)).curve
        for arm in (NONE, Arm("l", "l", l2=0.1), Arm("m", "m", max_norm=0.3), Arm("d", "d", rate=0.5))
    ]
    assert all(one != other for at, one in enumerate(curves) for other in curves[:at])


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.RMSprop])
def test_an_optimizer_of_torch_serves_as_it_is(make: Any) -> None:
    optimizer = Recipe(optimizer=make).make_optimizer(nn.Linear(2, 2), TUNED, 0.01)
    assert type(optimizer) is make
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(0.2, 0.3)]
    group = PLAIN.make_optimizer(nn.Linear(2, 2), NONE, 0.01).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.0)


def test_an_arm_with_a_field_that_means_nothing_is_refused() -> None:
    words = Recipe(leaves_out=("input_rate",))
    assert "input_rate means nothing" in words.refusal(Arm("i", "i", input_rate=0.1))
    assert words.refusal(Arm("d", "d", rate=0.1)) == ""


@pytest.mark.parametrize(
    ("field", "asked"), [("members", 4), ("share", 0.5), ("method", "drop_path"), ("schedule", "late")]
)
def test_the_default_of_a_field_does_not_ask_for_it(field: str, asked: Any) -> None:
    alone = Recipe(leaves_out=(field,))
    assert alone.refusal(Arm("d", "d", rate=0.1)) == ""
    assert alone.refusal(replace(NONE, **{field: asked})) == f"{field} means nothing for this model"


def configured(model: nn.Module) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": [model.get_parameter("weight")]},
        {"params": [model.get_parameter("bias")], "lr": 0.02, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.01, weight_decay=0.05)


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        (OWN, [(0.01, 0.05), (0.02, 0.0)]),
        (NONE, [(0.01, 0.0), (0.02, 0.0)]),
        (TUNED, [(0.2, 0.3), (0.4, 0.3)]),
    ],
)
def test_an_optimizer_of_the_whole_model_is_tuned_but_for_the_model_as_brought(
    arm: Arm, expected: list[tuple[float, float]]
) -> None:
    made = Recipe(optimizer=Configured(configured)).make_optimizer(nn.Linear(2, 2), arm, 99.0)
    found = [(group["lr"], group["weight_decay"]) for group in made.param_groups]
    assert found == [pytest.approx(each) for each in expected]


def test_what_is_no_optimizer_and_no_function_is_refused(file: Path) -> None:
    with pytest.raises(DropkitError, match=r"optimizer must return a torch.optim.Optimizer"):
        Recipe(optimizer=lambda parameters, lr, weight_decay: 3).make_optimizer(nn.Linear(1, 1), NONE, 0.1)
    with pytest.raises(DropkitError, match="number must be a function"):
        Recipe(loss=f"{file}:number").piece("loss")
    with pytest.raises(DropkitError, match="metric must be a function"):
        Recipe(metric=3).piece("metric")  # type: ignore[arg-type]  # what is refused


def test_the_digest_follows_the_texts_and_settings_of_all_pieces(file: Path) -> None:
    recipes = [
        PLAIN,
        Recipe(loss=f"{file}:loss"),
        Recipe(metric=f"{file}:loss"),
        Recipe(metric=f"{file}:metric"),
        Recipe(loss=nn.CrossEntropyLoss()),
        Recipe(loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
        Recipe(loss=nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]))),
        Recipe(optimizer=torch.optim.SGD),
        Recipe(optimizer=functools.partial(torch.optim.SGD, momentum=0.9)),
        Recipe(optimizer=torch.optim.Adam),
        Recipe(optimizer=Configured(configured)),
    ]
    digests = [recipe.digest() for recipe in recipes]
    assert digests[0] == ""
    assert len(set(digests)) == len(recipes)
    assert digests == [recipe.digest() for recipe in recipes]
    file.write_text(FILE + "# another line")
    assert [recipe.digest() for recipe in recipes][1:4] != digests[1:4]


class Focal:
    """A loss that is an object."""

    def __init__(self, power: float) -> None:
        self.power, self.elsewhere = power, object()

    def __call__(self, outputs: torch.Tensor, y: torch.Tensor) -> Any:
        return nn.functional.cross_entropy(outputs, y) ** self.power


def with_default(power: float) -> Any:
    return lambda outputs, y, power=power: nn.functional.cross_entropy(outputs, y) ** power


def with_closure(power: float) -> Any:
    weights = torch.ones(2000)
    weights[1000] = power
    return lambda outputs, y: nn.functional.cross_entropy(outputs, y, weights)


def with_partial(power: float) -> Any:
    weights = torch.ones(2000)
    weights[1000] = power
    return functools.partial(nn.functional.cross_entropy, weight=weights)


def two_of_a_name(power: float) -> Any:
    return [None, lambda outputs, y: outputs.sum(), lambda outputs, y: outputs.mean()][int(power)]


def of_object(power: float) -> Any:
    return Focal(power).__call__


@pytest.mark.parametrize("make", [Focal, of_object, two_of_a_name, with_default, with_closure, with_partial])
def test_the_digest_follows_what_a_piece_holds_beside_its_text(make: Callable[[float], Any]) -> None:
    one, same, other = (Recipe(loss=make(power)).digest() for power in (1.0, 1.0, 2.0))
    assert one == same
    assert one != other


class Plain:
    pass


def plain_loss(outputs: Any, y: Any, weigher: Plain) -> Any:
    return nn.functional.cross_entropy(outputs, y)


def test_an_object_in_a_partial_is_the_same_in_every_process() -> None:
    makes = [functools.partial(plain_loss, weigher=Plain()) for _ in range(2)]
    assert len({Recipe(loss=make).digest() for make in makes}) == 1
