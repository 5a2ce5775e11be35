import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from dropkit.core.check import DropkitError
from dropkit.experiments.arm_check import RANGES, check_arm
from dropkit.experiments.dataset import Dataset
from dropkit.experiments.recipe import Recipe
from dropkit.experiments.train import Task
from dropkit.report.plan import Arm

NONE = Arm("none", "none")


@pytest.mark.parametrize("name", RANGES)
def test_every_number_has_a_range(data: Dataset, make_task: Callable[..., Task], name: str) -> None:
    plan = make_task(data, NONE).plan
    for bad in RANGES[name].bad():
        change: dict[str, Any] = {name: bad}
        with pytest.raises(DropkitError, match=f"{name} of arm 'none'"):
            check_arm(dataclasses.replace(NONE, **change), plan)


def test_every_field_that_is_a_number_or_a_word_has_a_rule() -> None:
    free = {"name", "family", "learning_rate", "method", "at", "bagging", "keeps_own"}
    assert {field.name for field in dataclasses.fields(Arm)} == free | set(RANGES)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"learning_rate": 0.0}, "learning_rate of arm"),
    ({"rate": 0.5, "method": "drop_path"}, "method of arm"),
    ({"rate": 0.5, "at": ("9",)}, "at of arm"),
    ({"augment": 0.1}, "only images"),
    ({"label_smoothing": 0.1}, "where there are classes"),
    ({"schedule": "late", "input_rate": 0.1}, "no rate that a schedule could move"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_an_arm_that_would_be_another_under_its_name_is_refused(
    line: Dataset, make_task: Callable[..., Task], change: dict[str, Any], message: str
) -> None:
    plan = make_task(line, NONE).plan
    check_arm(NONE, plan)
    with pytest.raises(DropkitError, match=message):
        check_arm(dataclasses.replace(NONE, **change), plan)


def test_no_arm_drops_inside_a_model_that_has_no_place(data: Dataset, make_task: Callable[..., Task]) -> None:
    plan = make_task(data, NONE, model=lambda: torch.nn.LazyLinear(2)).plan
    with pytest.raises(DropkitError, match="must use a method that fits into the model: none does"):
        check_arm(dataclasses.replace(NONE, rate=0.5), plan)


@pytest.mark.parametrize(
    ("change", "recipe", "message"),
    [
        ({"label_smoothing": 0.1}, Recipe(loss=torch.nn.CrossEntropyLoss()), "the loss, which is your own"),
        ({"label_smoothing": 0.1}, Recipe(step=print), "the loss, which is your own"),
        ({"r_drop": 1.0}, Recipe(step=print), "the training step is your own"),
    ],
)
def test_an_arm_that_an_own_piece_leaves_no_room_for_is_refused(
    data: Dataset, make_task: Callable[..., Task], change: dict[str, Any], recipe: Recipe, message: str
) -> None:
    plan = make_task(data, NONE).plan
    check_arm(dataclasses.replace(NONE, **change), plan)
    with pytest.raises(DropkitError, match=message):
        check_arm(dataclasses.replace(NONE, **change), plan, recipe)
