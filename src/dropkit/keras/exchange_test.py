"""Models of both frameworks after an exchange give the same, and models that differ are left as they were."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import dropkit
import dropkit.keras as dk
import dropkit.torch as dt
from dropkit.core.check import DropkitError

RNG = np.random.default_rng(0)


def of_keras(rate: float = 0.3) -> Any:
    return keras.Sequential(
        [
            keras.Input((9, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(epsilon=1e-5),
            keras.layers.Conv2D(5, (2, 3), use_bias=False),
            dk.SpatialDropout2D(rate),
            keras.layers.Flatten(),
            dk.Dropout(rate),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.LayerNormalization(epsilon=1e-5),
            dk.ConcreteDropout(keras.layers.Dense(2), rows=100),
        ]
    )


def of_torch(rate: float = 0.1, eps: float = 1e-5, units: int = 6) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.BatchNorm2d(4, eps=eps),
        nn.Conv2d(4, 5, (2, 3), bias=False),
        dt.Dropout2d(rate),
        nn.Flatten(),
        dt.Dropout(rate),
        nn.Linear(5 * 6 * 4, units),
        nn.ReLU(),
        nn.LayerNorm(units),
        dt.ConcreteDropout(nn.Linear(units, 2), rows=100),
    ).eval()


def answers(keras_model: Any, torch_model: nn.Module) -> tuple[Any, Any]:
    x = RNG.standard_normal((4, 9, 8, 3)).astype("float32")
    with torch.no_grad():
        theirs = torch_model(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    return np.asarray(keras.ops.convert_to_numpy(keras_model(x))), theirs.numpy()


def shaken(torch_model: nn.Module) -> nn.Module:
    """Statistics and scales that are not those of a new model."""
    with torch.no_grad():
        for value in (*torch_model.parameters(), *torch_model.buffers()):
            if value.dtype.is_floating_point and value.ndim:
                value.add_(0.1 * torch.rand_like(value))
    return torch_model


def test_a_convolutional_net_goes_over_and_back() -> None:
    ours, theirs = of_keras(), shaken(of_torch())
    theirs.get_parameter("10.logit").data.fill_(math.log(0.25 / 0.75))
    moved = dk.from_torch(theirs, ours)
    assert len(moved) == 2 + 4 + 1 + 2 + 2 + 2 + 3
    np.testing.assert_allclose(*answers(ours, theirs), rtol=1e-4, atol=1e-5)
    assert [ours.layers[i].rate for i in (3, 5)] == [0.1, 0.1]
    assert ours.layers[-1].rate == pytest.approx(0.25)
    again = of_torch(rate=0.5)
    assert dk.to_torch(ours, again) == moved
    for one, other in zip(theirs.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_schedule_goes_on_at_its_step() -> None:
    schedule = dropkit.linear_schedule(0.0, 0.4, 8)
    ours = keras.Sequential([keras.Input((3,)), dk.Dropout(schedule), keras.layers.Dense(2)])
    theirs = nn.Sequential(dt.Dropout(schedule), nn.Linear(3, 2))
    dt.Stepper(theirs).move_to(4)
    dk.from_torch(theirs, ours)
    assert ours.layers[0].rate == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (lambda: of_torch(eps=1e-3), "has the epsilon"),
        (lambda: of_torch(units=7), "has the shapes of its partner"),
        (lambda: nn.Sequential(nn.Linear(3, 2)), "as many layers with weights"),
        (
            lambda: nn.Sequential(*list(of_torch().children())[:4], *list(of_torch().children())[5:]),
            "as many layers with rates",
        ),
        (lambda: np.ones(3), "torch_model is a torch module"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(theirs: Any, message: str) -> None:
    ours = of_keras()
    before = [np.asarray(keras.ops.convert_to_numpy(v.value)) for v in ours.variables]
    with pytest.raises(DropkitError, match=message):
        dk.from_torch(theirs(), ours)
    for value, variable in zip(before, ours.variables, strict=True):
        np.testing.assert_array_equal(value, keras.ops.convert_to_numpy(variable.value))


def test_a_number_does_not_replace_a_schedule() -> None:
    ours = keras.Sequential([keras.Input((3,)), dk.Dropout(dropkit.early_schedule(0.1, 5))])
    with pytest.raises(DropkitError, match="same schedule"):
        dk.to_torch(ours, nn.Sequential(dt.Dropout(0.5)))
    with pytest.raises(DropkitError, match="`rate`"):
        ours.layers[0].rate = 0.2
