"""Layers around a Keras layer, on the backend of this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError

RNG = np.random.default_rng(0)


def array(x: Any) -> Any:
    return np.asarray(ops.convert_to_numpy(x))


def test_the_weights_of_a_dense_layer_are_dropped_under_their_key() -> None:
    x = RNG.standard_normal((3, 7)).astype("float32")
    layer = dk.DropConnect(keras.layers.Dense(5), 0.4, seed=2)
    layer.build((None, 7))
    kernel = array(layer.layer.kernel.value)
    m = dropkit.mask(layer.noise.next_key, kernel.shape, dropkit.Drop(0.4))
    np.testing.assert_allclose(array(layer(x, training=True)), x @ (kernel * m), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(array(layer(x)), x @ kernel, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(array(layer.layer.kernel.value), kernel)


@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_models_with_noisy_weights_train_are_saved_and_loaded(jit: Any, tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    y = dk.DropConnect(keras.layers.Conv2D(4, 3, activation="relu"), 0.2)(inputs)
    y = dk.StochasticDepth(keras.layers.Conv2D(4, 3, padding="same"), 0.5)(y)
    y = keras.layers.Dense(1)(keras.layers.GlobalAveragePooling2D()(y))
    model = keras.Model(inputs, y)
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=jit)
    x = RNG.standard_normal((64, 8, 8, 1)).astype("float32")
    history = model.fit(x, (x**2).mean((1, 2)), epochs=10, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert again.layers[1].noise.rate == 0.2


def test_a_word_is_dropped_wherever_it_occurs() -> None:
    layer = dk.EmbeddingDropout(keras.layers.Embedding(50, 4, embeddings_initializer="ones"), 0.5, seed=1)
    words = np.tile(np.arange(50), (2, 2))
    key = layer.noise.next_key
    found = array(layer(words, training=True))
    gone = dropkit.mask(key, (50, 4), layer.noise.description)[:, 0] == 0
    np.testing.assert_array_equal(found == 0, np.broadcast_to(gone[words][..., None], found.shape))
    assert 0 < gone.mean() < 1


def test_a_branch_is_dropped_for_whole_samples() -> None:
    block = dk.StochasticDepth(keras.layers.Dense(4, kernel_initializer="ones"), 0.5, seed=3)
    x = np.ones((40, 4), "float32")
    found = array(block(x, training=True))
    assert set(found.flat) == {1.0, 9.0}  # x, or x + 4 / (1 - 0.5)
    assert (found == found[:, :1]).all()
    np.testing.assert_array_equal(array(block(x)), np.full((40, 4), 5.0))


def test_attention_weights_are_dropped_by_address_and_the_layer_is_loaded_again(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 6, 8)).astype("float32")
    inputs = keras.Input((6, 8))
    model = keras.Model(inputs, dk.MultiHeadAttention(2, 4, dropout=0.5, seed=7)(inputs, inputs))
    layer = model.layers[-1]
    assert isinstance(layer._dropout_layer, dk.Dropout)
    key = layer._dropout_layer.next_key
    _, scores = layer(x, x, training=True, return_attention_scores=True)
    assert layer._dropout_layer.next_key != key
    assert array(scores).shape == (2, 2, 6, 6)
    still = array(model(x))
    assert (array(model(x, training=True)) != still).any()
    with dropkit.mode(model, "mc"):
        assert (array(model(x)) != still).any()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.layers[-1], dk.MultiHeadAttention)
    np.testing.assert_allclose(array(again(x)), still, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dk.DropConnect(keras.layers.Dense(2), 1.5), "Expected a float value between 0 and 1"),
        (lambda: dk.DropConnect(keras.layers.ReLU(), 0.5)(np.ones((2, 3))), "layer has a kernel, got 'ReLU'"),
        (lambda: dk.EmbeddingDropout(keras.layers.Dense(2)), "layer is a keras.layers.Embedding"),
        (lambda: dk.StochasticDepth(keras.layers.Dense(2), -1), "Expected a float value between 0 and 1"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def test_the_layer_inside_keeps_its_losses_and_its_precision() -> None:
    regular = dk.DropConnect(keras.layers.Dense(4, activity_regularizer=keras.regularizers.L2(1.0)), 0.5)
    regular(np.ones((2, 3), "float32"), training=True)
    assert len(regular.losses) == 1
    half = dk.DropConnect(keras.layers.Dense(4, dtype="mixed_bfloat16"), 0.5)
    y = half(np.ones((2, 3), "float32"), training=True)
    assert keras.backend.standardize_dtype(y.dtype) == "bfloat16"


def test_a_table_of_words_is_fitted() -> None:
    table = dk.EmbeddingDropout(keras.layers.Embedding(10, 4), 0.4)
    model = keras.Sequential([keras.Input((8,), dtype="int32"), table, keras.layers.Flatten()])
    model.compile("sgd", "mse")
    before = array(table.layer.embeddings.value).copy()
    model.fit(RNG.integers(0, 10, (6, 8)), np.ones((6, 32), "float32"), verbose=0)
    assert not np.array_equal(array(table.layer.embeddings.value), before)
