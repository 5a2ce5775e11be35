"""Concrete dropout on the backend of this process."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError
from dropkit.core.reference import unit
from dropkit.methods import concrete_dropout as law

RNG = np.random.default_rng(0)
CONV: dict[str, Any] = {"filters": 2, "kernel_size": 1, "kernel_initializer": "ones"}


def array(x: Any) -> Any:
    return np.asarray(ops.convert_to_numpy(x))


def expected(layer: Any, groups: str, shape: tuple[int, ...]) -> Any:
    logit = array(layer.noise.logit.value).astype("float64")
    return law.factor(np, unit(layer.noise.next_key, shape, groups), logit, layer.noise.temperature)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_the_mask_of_a_dense_layer_is_numpys_under_the_key(dtype: str) -> None:
    layer = dk.ConcreteDropout(keras.layers.Dense(5, dtype=dtype), 10, 0.3, seed=2, dtype=dtype)
    layer.noise.dtype_policy = keras.DTypePolicy(dtype)
    x = RNG.standard_normal((400, 70)).astype("float32")
    m = expected(layer, "...", x.shape)
    found = array(layer.noise(ops.convert_to_tensor(x), training=True)).astype("float64")
    close = 1e-5 if dtype == "float32" else 0.02
    np.testing.assert_allclose(found, x * m, rtol=close, atol=close)
    assert layer(x).shape == (400, 5)


def test_neither_end_of_the_draws_is_infinite() -> None:
    """The largest u of 32 bits is 1 in float32, whose logit would be infinite."""
    v = np.array([0.5, 2**32 - 0.5]) / 2.0**32
    m = law.factor(np, v.astype("float32"), np.float32(0.0), 1.0, v[::-1].astype("float32"))
    np.testing.assert_allclose(m, law.factor(np, v, np.float64(0.0), 1.0), rtol=1e-5)
    assert (m > 0).all()


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_a_convolution_drops_whole_channels(rank: int) -> None:
    layer = dk.ConcreteDropout(getattr(keras.layers, f"Conv{rank}D")(**CONV), 10, 0.5, seed=3)
    x = np.ones((4, *(3,) * rank, 6), "float32")
    m = expected(layer, "b ... c -> b c", x.shape)
    found = array(layer(x, training=True))
    np.testing.assert_allclose(found, np.broadcast_to(m.sum(-1, keepdims=True), found.shape), rtol=1e-5)


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_the_penalty_and_its_slope_are_the_published_ones(rate: float) -> None:
    layer = dk.ConcreteDropout(keras.layers.Conv1D(4, 3, groups=2), 10, rate, length_scale=0.5, precision=3.0)
    layer.build((None, 5, 6))
    squares = (array(layer.layer.kernel.value) ** 2).sum()

    def published(logit: float) -> float:
        return float(law.penalty(np, np.float64(logit), squares, 6, 10, 0.5, 3.0))

    logit = math.log(rate / (1 - rate))
    assert float(array(layer.penalty())) == pytest.approx(published(logit), rel=1e-5)
    before = array(layer.noise.logit.value)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(1.0), lambda _, y: 0 * ops.mean(y, (1, 2)))
    x = np.zeros((1, 5, 6), "float32")
    model.fit(x, x[..., :1], verbose=0)
    slope = (published(logit + 1e-4) - published(logit - 1e-4)) / 2e-4
    assert float(before - array(layer.noise.logit.value)) == pytest.approx(slope, rel=1e-3, abs=1e-6)


@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_training_moves_the_rate_down_where_the_input_matters_and_is_saved(jit: Any, tmp_path: Path) -> None:
    inputs = keras.Input((6, 6, 3))
    y = dk.ConcreteDropout(keras.layers.Conv2D(4, 3, activation="relu"), 1000, 0.4)(inputs)
    y = keras.layers.GlobalAveragePooling2D()(y)
    model = keras.Model(inputs, dk.ConcreteDropout(keras.layers.Dense(1), 1000, 0.4)(y))
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=jit)
    x = RNG.standard_normal((128, 6, 6, 3)).astype("float32")
    target = 3 * x.mean((1, 2, 3))[:, None] + 1
    model.fit(x, target, epochs=20, batch_size=16, verbose=0)
    rates = [layer.rate for layer in model.layers if isinstance(layer, dk.ConcreteDropout)]
    assert all(rate < 0.35 for rate in rates)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert [each.rate for each in again.layers if isinstance(each, dk.ConcreteDropout)] == rates
    assert again.layers[1].rows == 1000
    assert again.layers[1].noise.start == 0.4
    still = model.predict(x, verbose=0)
    np.testing.assert_allclose(again.predict(x, verbose=0), still, rtol=1e-5, atol=1e-6)
    with dropkit.mode(model, "mc"):
        assert (model.predict(x, verbose=0) != still).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dk.ConcreteDropout(keras.layers.ReLU(), 10), "layer is a keras.layers.Dense, Conv1D"),
        (lambda: dk.ConcreteDropout(keras.layers.Dense(2), 10, 1.0), "float value above 0 and below 1"),
        (lambda: dk.ConcreteDropout(keras.layers.Dense(2), 0), "rows"),
        (lambda: dk.ConcreteDropout(keras.layers.Dense(2), 10, length_scale=0), "length_scale"),
        (lambda: dk.ConcreteDropout(keras.layers.Dense(2), 10, precision=-1), "precision"),
        (lambda: dk.ConcreteDropout(keras.layers.Dense(2), 10, temperature=0), "temperature"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
