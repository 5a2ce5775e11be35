from typing import Any

import numpy as np
import pytest

from dropkit.experiments.dataset import CLASSIFICATION, REGRESSION, array_dataset, decide_target

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
    assert task in decided.note


def test_the_task_asked_for_overrules_the_guess() -> None:
    assert decide_target("y", LABELS, REGRESSION).task == REGRESSION
    assert decide_target("y", LABELS + 0.5, CLASSIFICATION).classes == ("0.5", "1.5", "2.5", "3.5")


def test_classes_are_numbered_in_the_order_of_their_names() -> None:
    decided = decide_target("y", np.array(["b", "a"] * 40, dtype=object))
    assert decided.classes == ("a", "b")
    assert decided.y[:2].tolist() == [1, 0]


def test_the_digest_follows_inputs_and_target() -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    changed = x.copy()
    changed[7, 1] += 1e-9
    digests = {array_dataset(a, y).digest() for a in (x, changed) for y in (LABELS, LABELS[::-1])}
    assert len(digests) == 4


def test_images_keep_their_shape_and_numbers_become_columns() -> None:
    assert array_dataset(np.zeros((80, 3, 5, 6)), LABELS).inputs.shape == (3, 5, 6)
    assert array_dataset(np.zeros((80, 7)), LABELS).inputs.shape == (7,)


def test_the_error_of_a_guess_is_what_learning_has_to_beat() -> None:
    x, y = np.zeros((80, 2)), np.array(["a"] * 60 + ["b"] * 20)
    assert array_dataset(x, y).guess_error == 0.25
    assert array_dataset(x, np.linspace(0, 1, 80)).guess_error == pytest.approx(np.std(np.linspace(0, 1, 80)))
