"""Monte Carlo dropout on the backend of this process: dropout draws, and nothing else moves."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError

X = np.random.default_rng(0).standard_normal((16, 6)).astype("float32")


def network(drop: Any) -> Any:
    layers = [keras.Input((6,)), keras.layers.Dense(8), keras.layers.BatchNormalization(), drop]
    return keras.Sequential([*layers, keras.layers.Dense(2)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: dk.Dropout(0.5),
        lambda: keras.layers.Dropout(0.5),
        lambda: keras.layers.GaussianDropout(0.5),
        lambda: keras.layers.AlphaDropout(0.5),
        lambda: keras.Sequential([dk.DropPath(0.5)]),
        lambda: dk.DropConnect(keras.layers.Dense(8), 0.5),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_dropout_draws_and_batch_normalisation_stays(make: Any, compiled: bool) -> None:
    model = network(make())
    call = (
        (lambda: model.predict(X, verbose=0))
        if compiled
        else (lambda: np.asarray(keras.ops.convert_to_numpy(model(X))))
    )
    still = call()
    before = [np.array(keras.ops.convert_to_numpy(v.value)) for v in model.layers[1].variables]
    with dropkit.mode(model, "mc"):
        passes = [call() for _ in range(2)]
        assert (passes[0] != still).any()
        assert (passes[0] != passes[1]).any()
    np.testing.assert_allclose(call(), still, atol=1e-5)
    for held, variable in zip(before, model.layers[1].variables, strict=True):
        np.testing.assert_array_equal(held, keras.ops.convert_to_numpy(variable.value))


def test_eval_holds_still_what_trains_and_states_come_back_after_an_error() -> None:
    layer, own = dk.Dropout(0.5), keras.layers.Dropout(0.5)
    model = keras.Sequential([keras.Input((6,)), layer, own])
    found = []

    def fail() -> None:
        with dropkit.mode(model, "eval"):
            found.append(keras.ops.convert_to_numpy(model(X, training=True)))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    np.testing.assert_array_equal(found[0], X)
    assert layer.forced_mode is None
    assert "call" not in vars(own)
    assert (np.asarray(keras.ops.convert_to_numpy(model(X, training=True))) == 0).any()


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.LSTM(5, recurrent_dropout=0.5),
        lambda: keras.layers.RNN(keras.layers.GRUCell(5, dropout=0.5)),
        lambda: keras.layers.RNN([keras.layers.LSTMCell(5, dropout=0.5), keras.layers.SimpleRNNCell(3)]),
        lambda: keras.layers.Bidirectional(keras.layers.SimpleRNN(5, dropout=0.5)),
    ],
)
def test_the_rates_inside_recurrent_layers_draw(make: Any) -> None:
    x = X.reshape(4, 4, 6)
    model = keras.Sequential([keras.Input((4, 6)), make()])
    with dropkit.mode(model, "mc"):
        passes = [np.asarray(keras.ops.convert_to_numpy(model(x))) for _ in range(2)]
    assert (passes[0] != passes[1]).any()
    with dropkit.mode(model, "eval"):
        passes = [np.asarray(keras.ops.convert_to_numpy(model(x, training=True))) for _ in range(2)]
    np.testing.assert_array_equal(passes[0], passes[1])


def test_the_mean_of_many_passes_is_near_the_evaluation() -> None:
    """A linear net is its mean: 6 deviations of 2,000 passes are missed by a part in 10**8."""
    model = keras.Sequential(
        [keras.Input((6,)), dk.Dropout(0.5, seed=1), keras.layers.Dense(1, use_bias=False)]
    )
    x = np.repeat(X[:1], 2000, axis=0)
    with dropkit.mode(model, "mc"):
        drawn = np.asarray(keras.ops.convert_to_numpy(model(x)))
    still = np.asarray(keras.ops.convert_to_numpy(model(X[:1])))
    spread = drawn.std() / 2000**0.5
    assert spread > 0
    assert abs(drawn.mean() - still) < 6 * spread


def test_models_that_have_nothing_to_switch_are_refused() -> None:
    plain = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    with pytest.raises(DropkitError, match="model has a source of dropout"), dropkit.mode(plain, "mc"):
        pass
    still = network(dk.Dropout(0.0))
    with (
        pytest.raises(DropkitError, match="model has dropout with a rate above 0"),
        dropkit.mode(still, "mc"),
    ):
        pass
    with pytest.raises(DropkitError, match="mode must be"), dropkit.mode(still, "test"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (keras.layers.Attention(dropout=0.5), (3, 8)),
        (keras.layers.AdditiveAttention(dropout=0.5), (3, 8)),
        (keras.layers.ConvLSTM1D(3, 2, dropout=0.5), (4, 5, 8)),
        (keras.layers.ConvLSTM2D(3, 2, recurrent_dropout=0.5), (4, 5, 5, 8)),
        (keras.layers.ConvLSTM3D(3, 2, dropout=0.5), (3, 4, 4, 4, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_rates_inside_attention_and_convolutional_cells_are_sources(layer: Any, shape: Any) -> None:
    inputs = keras.Input(shape)
    takes = [inputs, inputs] if "Attention" in type(layer).__name__ else inputs
    model = keras.Model(inputs, layer(takes))
    x = np.random.default_rng(0).standard_normal((2, *shape)).astype("float32")
    with dropkit.mode(model, "mc"):
        assert not np.array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    with dropkit.mode(model, "eval"):
        one, other = (keras.ops.convert_to_numpy(model(x, training=True)) for _ in range(2))
        assert np.array_equal(one, other)
