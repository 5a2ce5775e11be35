"""Noise on the states of recurrent layers, on the backend of this process."""

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

X = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")


def array(x: Any) -> Any:
    return np.asarray(ops.convert_to_numpy(x))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def lstm_step(cell: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """The equations of an LSTM, with Keras's order of gates."""
    kernel, recurrent, bias = (array(w.value) for w in (cell.kernel, cell.recurrent_kernel, cell.bias))
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@pytest.mark.parametrize("training", [True, False])
def test_an_lstm_is_that_of_the_equations_under_the_masks_of_its_keys(training: bool) -> None:
    layer = dk.DropRNN(keras.layers.LSTMCell(5), state=0.4, zoneout=(0.2, 0.5), seed=3, return_sequences=True)
    layer.build(X.shape)
    cell = layer.cell
    laws = [cell.state, *cell.zoneout]
    masks = [dropkit.mask(law.next_key, (4, 6, 5), law.description) for law in laws]
    found = array(layer(X, training=training))
    h = c = np.zeros((4, 5))
    for step in range(6):
        held = [mask[:, step] for mask in masks] if training else [1, 0.8, 0.5]
        new_h, new_c = lstm_step(cell.cell, X[:, step], h * held[0], c)
        h, c = h + held[1] * (new_h - h), c + held[2] * (new_c - c)
        np.testing.assert_allclose(found[:, step], h, rtol=1e-4, atol=1e-5)
    assert (masks[0][:, 0] == masks[0][:, 1]).all()
    assert (masks[1][:, 0] != masks[1][:, 1]).any()


def test_without_noise_it_is_the_layer_of_keras() -> None:
    cell = keras.layers.GRUCell(5)
    plain, ours = keras.layers.RNN(cell), dk.DropRNN(cell)
    np.testing.assert_allclose(array(ours(X, training=True)), array(plain(X)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell])
@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_models_train_are_switched_saved_and_loaded(make: Any, tmp_path: Path) -> None:
    inputs = keras.Input((None, 3))
    y = dk.DropRNN(make(8), state=0.2, zoneout=0.1)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(y))
    model.compile(keras.optimizers.Adam(0.02), "mse")
    x = np.random.default_rng(1).standard_normal((64, 6, 3)).astype("float32")
    history = model.fit(x, x.sum((1, 2)), epochs=6, batch_size=16, verbose=0).history["loss"]
    assert history[-1] < history[0]
    still = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), still, atol=1e-5)
    with dropkit.mode(model, "mc"):
        passes = [model.predict(x, verbose=0) for _ in range(2)]
        assert (passes[0] != passes[1]).any()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), still, rtol=1e-4, atol=1e-5)
    before, after = (each.layers[1].get_config() for each in (model, again))
    assert [after[name] for name in ("state", "zoneout", "seed")] == [
        before[name] for name in ("state", "zoneout", "seed")
    ]


def test_states_masks_and_directions_are_those_of_keras() -> None:
    layer = dk.DropRNN(keras.layers.LSTMCell(5), zoneout=0.5, return_state=True, go_backwards=True)
    output, h, c = layer(X, training=True)
    np.testing.assert_array_equal(array(output), array(h))
    assert array(c).shape == (4, 5)
    masked = np.array([[True] * 3 + [False] * 3] * 4)
    forward = dk.DropRNN(keras.layers.LSTMCell(5), zoneout=0.5)
    short = array(forward(X[:, :3]))
    np.testing.assert_allclose(
        array(forward(X, mask=ops.convert_to_tensor(masked))), short, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"state": 1.5}, "Expected a float value between 0 and 1"),
        ({"zoneout": -0.1}, "Expected a float value between 0 and 1"),
        ({"zoneout": (0.1, 0.2, 0.3)}, "zoneout has a rate for each of the 2 states"),
    ],
)
def test_bad_arguments_are_refused(named: dict[str, Any], message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        dk.DropRNN(keras.layers.LSTMCell(5), **named)
