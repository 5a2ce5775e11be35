"""What stands before a Flatten, or a norm of several axes, is followed into PyTorch's order, or refused."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from torch import nn

import dropkit.keras as dk
import dropkit.torch as dt
from dropkit.core.check import DropkitError
from dropkit.torch.noisy import NoisyWeights

RNG = np.random.default_rng(0)
KL = keras.layers


def compare(ours: Any, theirs: nn.Module, shape: tuple[int, ...]) -> None:
    """Give both the same weights and the same input, with channels first in PyTorch where it is an image."""
    dk.to_torch(ours, theirs.eval())
    x = RNG.standard_normal((3, *shape)).astype("float32")
    turned = x.transpose(0, 3, 1, 2).copy() if len(shape) == 3 else x
    with torch.no_grad():
        expected = theirs(torch.from_numpy(turned)).numpy()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(x)), expected, rtol=1e-4, atol=1e-5)


class Turned(nn.Module):
    """Swap the axes of a sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.transpose(1, 2)


def image(*layers: Any) -> Any:
    """A convolution of (4, 4, 3), what stands between, and a dense layer on all features."""
    return keras.Sequential(
        [keras.Input((4, 4, 3)), KL.Conv2D(4, 3, padding="same"), *layers, KL.Flatten(), KL.Dense(2)]
    )


def image_of_torch(*layers: nn.Module, size: int = 64) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *layers, nn.Flatten(), nn.Linear(size, 2))


PAIRS = {
    "permuted": lambda: (image(KL.Permute((3, 1, 2))), image_of_torch()),
    "permuted before a layer": lambda: (image(KL.Permute((3, 1, 2)), KL.ReLU()), image_of_torch(nn.ReLU())),
    "pooled and padded": lambda: (
        image(KL.MaxPooling2D(2), KL.ZeroPadding2D(1)),
        image_of_torch(nn.MaxPool2d(2), nn.ZeroPad2d(1)),
    ),
    "flattened twice": lambda: (image(KL.Flatten()), image_of_torch()),
    "wrapped": lambda: (
        image(dk.DropConnect(KL.Conv2D(4, 1))),
        image_of_torch(NoisyWeights(nn.Conv2d(4, 4, 1), dt.Dropout(0.1))),
    ),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_an_image_is_flattened_as_in_torch(pair: Any) -> None:
    ours, theirs = pair()
    compare(ours, theirs, (4, 4, 3))


def test_sums_of_maps_are_followed() -> None:
    inputs = keras.Input((4, 4, 3))
    x = KL.Conv2D(4, 1)(inputs)
    gate = KL.Reshape((1, 1, 4))(KL.GlobalAveragePooling2D()(x))
    y = keras.ops.relu(x * 2 + x) * gate
    ours = keras.Model(inputs, KL.Dense(2)(KL.Flatten()(y)))

    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.dense = nn.Conv2d(3, 4, 1), nn.Linear(64, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            y = (x * 2 + x).relu() * x.mean((2, 3), keepdim=True)
            z: torch.Tensor = self.dense(y.flatten(1))
            return z

    compare(ours, Twin(), (4, 4, 3))


SEQUENCES = {
    "permuted": lambda: (
        [KL.Conv1D(5, 2), KL.Permute((2, 1))],
        [Turned(), nn.Conv1d(3, 5, 2)],
    ),
    "a convolution inside a model": lambda: (
        [keras.Sequential([keras.Input((6, 3)), KL.Conv1D(5, 2)]), KL.ReLU()],
        [Turned(), nn.Conv1d(3, 5, 2), nn.ReLU()],
    ),
    "a dense layer behind a convolution": lambda: (
        [KL.Conv1D(4, 2), KL.Dense(5)],
        [Turned(), nn.Conv1d(3, 4, 2), Turned(), nn.Linear(4, 5)],
    ),
}


@pytest.mark.parametrize("layers", SEQUENCES.values(), ids=SEQUENCES)
def test_a_sequence_is_flattened_as_in_torch(layers: Any) -> None:
    ours, theirs = layers()
    compare(
        keras.Sequential([keras.Input((6, 3)), *ours, KL.Flatten(), KL.Dense(2)]),
        nn.Sequential(*theirs, nn.Flatten(), nn.Linear(25, 2)),
        (6, 3),
    )


class Mirror(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    def call(self, x: Any) -> Any:
        return keras.ops.flip(x, -1)

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


@pytest.mark.parametrize(
    ("between", "named"),
    [
        (lambda: [KL.Permute((2, 1, 3))], "Permute"),
        (lambda: [KL.Permute((3, 1, 2)), KL.MaxPooling2D(1)], "MaxPooling2D"),
        (lambda: [KL.Reshape((16, 4))], "Reshape"),
        (lambda: [KL.Reshape((16, 4)), KL.ReLU(), KL.MaxPooling1D(1)], "Reshape"),
        (lambda: [Mirror()], "Mirror"),
        (lambda: [KL.RandomFlip()], "RandomFlip"),
    ],
)
def test_entries_that_move_before_a_flatten_are_refused(between: Any, named: str) -> None:
    with pytest.raises(DropkitError, match=rf"move features .*\({named}\)"):
        dk.to_torch(image(*between()), image_of_torch())


def test_a_dense_layer_on_an_image_before_a_flatten_is_refused() -> None:
    theirs = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 4), nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(DropkitError, match=r"move features .*\(Dense\)"):
        dk.to_torch(image(KL.Dense(4)), theirs)


def test_branches_in_two_orders_are_refused() -> None:
    inputs = keras.Input((4, 4, 4))
    x = KL.Conv2D(4, 1)(inputs)
    y = KL.Add()([x, KL.Permute((3, 1, 2))(x)])
    ours = keras.Model(inputs, KL.Dense(2)(KL.Flatten()(y)))
    theirs = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(DropkitError, match=r"move features .*\(Add\)"):
        dk.to_torch(ours, theirs)


def test_a_sum_of_a_sequence_and_maps_is_refused() -> None:
    words, maps = keras.Input((6, 3)), keras.Input((2, 6, 4))
    y = KL.Add()([KL.Conv1D(4, 1)(words), maps])
    ours = keras.Model([words, maps], KL.Dense(2)(KL.Flatten()(y)))
    with pytest.raises(DropkitError, match=r"move features .*\(Add\)"):
        dk.to_torch(ours, nn.Sequential(nn.Conv1d(3, 4, 1), nn.Flatten(), nn.Linear(48, 2)))


def test_a_model_that_flattens_a_sequence_of_a_convolution_is_refused() -> None:
    head = keras.Sequential([keras.Input((5, 4)), KL.Flatten(), KL.Dense(2)])
    ours = keras.Sequential([keras.Input((6, 3)), KL.Conv1D(4, 2), head])
    theirs = nn.Sequential(nn.Conv1d(3, 4, 2), nn.Flatten(), nn.Linear(20, 2))
    with pytest.raises(DropkitError, match="into layers, not into models"):
        dk.to_torch(ours, theirs)


def test_a_deep_net_of_residuals_is_followed_in_time() -> None:
    inputs = keras.Input((2, 2, 3))
    x = KL.Conv2D(3, 1)(inputs)
    for _ in range(40):
        x = KL.Add()([x, KL.ReLU()(KL.Conv2D(3, 1)(x))])
    ours = keras.Model(inputs, KL.Dense(2)(KL.Flatten()(x)))
    moved = dk.to_torch(ours, nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(41)), nn.Linear(12, 2)))
    assert len(moved) == 2 * 42


def norm(*axes: int) -> Any:
    return KL.LayerNormalization(axis=list(axes), epsilon=1e-5)


NORMS = {
    "of words": lambda: (norm(1, 2), [nn.LayerNorm((5, 5))], None),
    "of words from behind": lambda: (norm(-2, -1), [nn.LayerNorm((5, 5))], None),
    "of a convolution": lambda: (norm(1, 2), [nn.LayerNorm((5, 5))], KL.Conv1D(5, 2)),
    "unequal": lambda: (norm(1, 2), [nn.LayerNorm((4, 5))], KL.Conv1D(4, 2)),
}


@pytest.mark.parametrize("case", NORMS.values(), ids=NORMS)
def test_a_norm_of_a_sequence_has_the_order_of_torch(case: Any) -> None:
    ours, theirs, convolution = case()
    for name in ("gamma_initializer", "beta_initializer"):
        setattr(ours, name, keras.initializers.RandomNormal(seed=1))
    if convolution is None:
        compare(
            keras.Sequential([keras.Input((5, 3)), KL.Dense(5), ours]),
            nn.Sequential(nn.Linear(3, 5), *theirs),
            (5, 3),
        )
        return
    compare(
        keras.Sequential([keras.Input((6, 3)), convolution, ours]),
        nn.Sequential(Turned(), nn.Conv1d(3, convolution.filters, 2), *theirs, Turned()),
        (6, 3),
    )


@pytest.mark.parametrize(("axes", "size"), [((1, 2, 3), (4, 5, 5)), ((1, 2), (5, 5))])
def test_a_norm_of_an_image_has_the_order_of_torch(axes: tuple[int, ...], size: tuple[int, ...]) -> None:
    if len(axes) == 2 and keras.backend.backend() == "torch":
        pytest.skip("Keras norms the last axes alone there")
    ours = norm(*axes)
    ours.gamma_initializer = keras.initializers.RandomNormal(seed=1)

    class Back(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.permute(0, 2, 3, 1)

    compare(
        keras.Sequential([keras.Input((5, 5, 3)), KL.Conv2D(4, 1), ours]),
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(size), Back()),
        (5, 5, 3),
    )


def test_a_norm_of_axes_that_are_not_the_last_of_torch_is_refused() -> None:
    ours = keras.Sequential([keras.Input((5, 4, 3)), KL.Conv2D(4, 1), norm(2, 3)])
    with pytest.raises(DropkitError, match=r"move features .*\(LayerNormalization\)"):
        dk.to_torch(ours, nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm((4, 4), eps=1e-5)))


def test_a_model_that_norms_a_sequence_of_a_convolution_is_refused() -> None:
    head = keras.Sequential([keras.Input((5, 5)), norm(1, 2)])
    ours = keras.Sequential([keras.Input((6, 3)), KL.Conv1D(5, 2), head])
    with pytest.raises(DropkitError, match="into layers, not into models"):
        dk.to_torch(ours, nn.Sequential(nn.Conv1d(3, 5, 2), nn.LayerNorm((5, 5))))
