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
    assert ours.layers[0].step == 4
    assert ours.layers[0].rate == pytest.approx(0.2)
    ours.layers[0].move_to(6)
    dk.to_torch(ours, theirs)
    assert int(theirs.get_buffer("0.step")) == 6
    assert theirs[0].p == pytest.approx(0.3)


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


def sequence_of_keras(data_format: str = "channels_last") -> Any:
    shape = (7, 3) if data_format == "channels_last" else (3, 7)
    layers = [
        keras.Input(shape),
        keras.layers.Conv1D(4, 2, data_format=data_format),
        keras.layers.Flatten(data_format=data_format),
        keras.layers.BatchNormalization(epsilon=1e-5),
        keras.layers.ReLU(),
        dk.Dropout(0.2),
        keras.layers.Dense(2),
    ]
    return keras.Sequential(layers)


def sequence_of_torch() -> nn.Module:
    layers = (
        nn.Conv1d(3, 4, 2),
        nn.Flatten(),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        dt.Dropout(0.2),
        nn.Linear(24, 2),
    )
    return shaken(nn.Sequential(*layers)).eval()


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_norms_and_layers_behind_a_flatten_are_in_the_order_of_torch(data_format: str) -> None:
    if data_format == "channels_first" and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolutions on a CPU")
    ours, theirs = sequence_of_keras(data_format), sequence_of_torch()
    x = RNG.standard_normal((4, 3, 7)).astype("float32")
    dk.from_torch(theirs, ours)
    found = ours(x if data_format == "channels_first" else x.transpose(0, 2, 1))
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.asarray(keras.ops.convert_to_numpy(found)), expected, rtol=1e-4, atol=1e-5)


def test_rows_of_digits_and_words_stand_in_one_order() -> None:
    """Neither (28, 28) nor a sequence of words has channels."""
    layers = keras.Input((3, 4)), keras.layers.Flatten(), keras.layers.Dense(2)
    ours, theirs = keras.Sequential(layers), nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval()
    dk.to_torch(ours, theirs)
    x = RNG.standard_normal((5, 3, 4)).astype("float32")
    with torch.no_grad():
        found = theirs(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(ours(x)), rtol=1e-4, atol=1e-5)


def test_the_flatten_is_found_through_a_graph_and_a_model_inside() -> None:
    inputs = keras.Input((4, 5, 3))
    body = keras.Sequential([keras.Input((4, 5, 3)), keras.layers.Conv2D(2, 2), keras.layers.Flatten()])
    y = body(inputs)
    z = keras.layers.add([keras.layers.ReLU()(y), dk.Dropout(0.5)(y)])
    ours = keras.Model(inputs, keras.layers.Dense(2)(z))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.drop, self.dense = nn.Conv2d(3, 2, 2), dt.Dropout(0.5), nn.Linear(24, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x).flatten(1)
            z: torch.Tensor = self.dense(y.relu() + self.drop(y))
            return z

    theirs = Twin().eval()
    dk.to_torch(ours, theirs)
    x = RNG.standard_normal((6, 4, 5, 3)).astype("float32")
    with torch.no_grad():
        found = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy()
    np.testing.assert_allclose(found, keras.ops.convert_to_numpy(ours(x)), rtol=1e-4, atol=1e-5)


def hidden(make: Any) -> Any:
    """A model with a layer that moves features somewhere before its dense layer."""
    inputs = keras.Input((4, 5, 3))
    return keras.Model(inputs, keras.layers.Dense(2)(make(inputs)))


class Own(keras.Model):  # type: ignore[misc]  # Keras ships no types
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x: Any) -> Any:
        return self.dense(keras.ops.flip(x, -1))


def called() -> Any:
    model = Own()
    model(np.ones((1, 60), "float32"))
    return model


def mixed(flat: Any, pooled: Any) -> Any:
    """A sum of features in two orders."""
    return keras.layers.add([flat, keras.ops.tile(pooled, (1, 20))])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hidden(keras.layers.Reshape((60,))), r"move features .*\(Reshape\)"),
        (
            lambda: hidden(lambda x: keras.ops.flip(keras.layers.Flatten()(x), -1)),
            r"move features .*\(Flip\)",
        ),
        (
            lambda: hidden(lambda x: keras.layers.concatenate([keras.layers.Flatten()(x)] * 2)),
            r"move features .*\(Concatenate\)",
        ),
        (
            lambda: hidden(lambda x: keras.Sequential([keras.layers.Dense(2)])(keras.layers.Flatten()(x))),
            "flattened features go into layers",
        ),
        (
            lambda: hidden(lambda x: mixed(keras.layers.Flatten()(x), keras.layers.GlobalMaxPooling2D()(x))),
            r"move features .*\(Add\)",
        ),
        (called, "is a functional or sequential model that is built, got 'Own'"),
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "that is built"),
    ],
)
def test_an_order_that_cannot_be_followed_is_refused(make: Any, message: str) -> None:
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(60, 2))
    with pytest.raises(DropkitError, match=message):
        dk.to_torch(make(), theirs)


def test_a_residual_branch_on_flattened_features_is_refused() -> None:
    ours = hidden(lambda x: dk.StochasticDepth(keras.layers.Dense(60))(keras.layers.Flatten()(x)))
    theirs = nn.Sequential(nn.Flatten(), nn.Linear(60, 60), dt.DropPath(0.1), nn.Linear(60, 2))
    with pytest.raises(DropkitError, match=r"move features .*\(StochasticDepth\)"):
        dk.to_torch(ours, theirs)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"strides": 2}, r"stride \(2, 2\)"),
        ({"strides": (1, 2)}, r"stride \(1, 2\)"),
        ({"dilation_rate": 2}, r"dilation \(2, 2\)"),
    ],
)
def test_a_convolution_that_slides_otherwise_is_refused(given: dict[str, Any], word: str) -> None:
    ours = keras.Sequential([keras.Input((8, 8, 4)), keras.layers.Conv2D(4, 3, padding="same", **given)])
    with pytest.raises(DropkitError, match=f"has the {word} of its partner, got 'conv2d.* and 0 "):
        dk.to_torch(ours, nn.Sequential(nn.Conv2d(4, 4, 3, padding=1)))


def test_groups_of_convolutions_are_those_of_the_partner() -> None:
    ours = keras.Sequential([keras.Input((8, 4)), keras.layers.Conv1D(4, 3, groups=2)])
    assert len(dk.to_torch(ours, nn.Sequential(nn.Conv1d(4, 4, 3, groups=2)))) == 2
    with pytest.raises(DropkitError, match="has the groups 2 of its partner"):
        dk.to_torch(ours, nn.Sequential(nn.Conv1d(2, 4, 3)))


@pytest.mark.parametrize(("size", "equal"), [(9, True), (8, False)])
def test_same_padding_with_strides_is_that_of_torch_for_some_sizes(size: int, equal: bool) -> None:
    ours = keras.Sequential([keras.Input((size, 2)), keras.layers.Conv1D(3, 3, 2, padding="same")])
    theirs = nn.Sequential(nn.Conv1d(2, 3, 3, 2, padding=1))
    dk.to_torch(ours, theirs)
    x = RNG.standard_normal((4, size, 2)).astype("float32")
    with torch.no_grad():
        found = theirs(torch.from_numpy(x.transpose(0, 2, 1).copy())).numpy().transpose(0, 2, 1)
    assert np.allclose(keras.ops.convert_to_numpy(ours(x)), found, rtol=1e-4, atol=1e-5) == equal
