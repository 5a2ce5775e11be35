from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION
from dropkit.experiments.target import decide_target

LABELS = np.arange(80) % 4


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (LABELS, CLASSIFICATION),
        (LABELS.astype(float), CLASSIFICATION),
        (LABELS == 1, CLASSIFICATION),
        (np.array(["yes", "no"] * 40, dtype=object), CLASSIFICATION),
        (np.arange(80), REGRESSION),
        (LABELS + 0.5, REGRESSION),
    ],
)
def test_the_task_is_decided_from_the_values_and_said(values: Any, task: str) -> None:
    decided = decide_target("y", values)
    assert decided.task == task
    assert task in str(decided.note)


def test_the_task_asked_for_overrules_the_guess() -> None:
    assert decide_target("y", LABELS, REGRESSION).task == REGRESSION
    assert decide_target("y", LABELS + 0.5, CLASSIFICATION).classes == ("0.5", "1.5", "2.5", "3.5")


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    decided = decide_target("y", np.array(["b", "a"] * 40, dtype=object))
    assert decided.classes == ("a", "b")
    assert decided.y[:2].tolist() == [1, 0]


def test_values_whose_squares_overflow_are_refused() -> None:
    with pytest.raises(
        DropkitError, match=r"y must stay below 1e\+100.*got 8e\+200; give it in a larger unit"
    ):
        decide_target("y", np.linspace(0.1, 8e200, 80))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.int8, np.uint8])
def test_values_of_small_types_are_values_too(kind: Any) -> None:
    values = (np.arange(80) - 10).clip(0).astype(kind)
    assert decide_target("y", values, REGRESSION).y.tolist() == values.astype(float).tolist()
