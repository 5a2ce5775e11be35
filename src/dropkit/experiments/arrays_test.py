"""Arrays in the forms that users have them in."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.columns import Columns
from dropkit.experiments.dataset import REGRESSION
from dropkit.experiments.sources import load_data

X = np.random.default_rng(0).normal(size=(90, 3)).round(1).astype(np.float32)
Y = np.arange(90) % 3


@pytest.mark.parametrize(
    "x",
    [
        X.tolist(),
        np.ma.masked_invalid(X),
        torch.tensor(X, requires_grad=True),
        [torch.tensor(row) for row in X],
    ],
    ids=["a list", "nothing masked", "a tensor with a gradient", "a list of tensors"],
)
def test_other_forms_hold_the_same_numbers(x: Any) -> None:
    assert array_dataset(x, Y).digest() == array_dataset(X, Y).digest()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn])
def test_types_that_numpy_does_not_know_are_taken(dtype: torch.dtype) -> None:
    assert array_dataset(torch.tensor(X).to(dtype), Y).inputs.shape == (3,)


@pytest.mark.parametrize("y", [torch.tensor(Y), [*Y], pd.Series(Y, dtype="Int64"), pd.Categorical(Y)])
def test_targets_beside_a_frame(y: Any) -> None:
    data = load_data((pd.DataFrame(X), y))
    assert (data.y == Y).all()
    assert data.classes == ("0", "1", "2")


def test_numbers_that_stand_as_objects_are_numbers() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).astype(object)
    data = load_data(frame, Columns("a"))
    assert (data.task, data.inputs.shape) == (REGRESSION, (2,))
    assert array_dataset(X, X[:, 0].astype(object)).task == REGRESSION


def test_an_index_of_dates_gives_the_times() -> None:
    data = array_dataset(X, Y, time=pd.date_range("2026-01-01", periods=90))
    assert data.times is not None
    assert data.times.tolist() == [*range(90)]
