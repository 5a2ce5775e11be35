"""R-Drop in `fit`, on the backend of this process."""

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
from dropkit.methods.r_drop import divergence

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 5)).astype("float32")
Y = RNG.integers(0, 3, 12)
WRONG: Any = {"from_logits": 2}


def log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def made(activation: str | None = None) -> tuple[Any, Any]:
    drop = dk.Dropout(0.5, seed=4)
    return keras.Sequential([keras.Input((5,)), drop, keras.layers.Dense(3, activation=activation)]), drop


@pytest.mark.parametrize("weights", [None, RNG.uniform(0, 2, 12).astype("float32")])
@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_the_loss_of_a_step_is_that_of_the_formula(jit: Any, weights: Any) -> None:
    model, drop = made()
    trained = dk.RDrop(model, 2.0, from_logits=True)
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile(keras.optimizers.SGD(0.1), losses, metrics=["accuracy"], jit_compile=jit)
    kernel, bias = (ops.convert_to_numpy(w) for w in model.layers[-1].weights)
    m = dropkit.mask(drop.next_key, (24, 5), dropkit.Drop(0.5))
    logs = log_softmax((np.concatenate([X, X]) * m) @ kernel + bias)
    w = np.ones(12) if weights is None else weights
    task = -(logs[np.arange(24), np.tile(Y, 2)] * np.tile(w, 2)).mean()
    expected = task + 2 * (divergence(logs[:12], logs[12:]) * w).mean()
    found = trained.fit(X, Y, batch_size=12, sample_weight=weights, shuffle=False, verbose=0).history
    assert found["loss"] == [pytest.approx(expected, rel=1e-4)]
    assert found["accuracy"] == [pytest.approx((logs[:12].argmax(-1) == Y).mean())]
    assert (ops.convert_to_numpy(model.layers[-1].kernel) != kernel).any()


def test_outside_of_training_it_is_the_model(tmp_path: Path) -> None:
    model, _ = made("softmax")
    trained = dk.RDrop(model)
    trained.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    trained.fit(X, Y, validation_data=(X[:5], Y[:5]), batch_size=5, verbose=0)  # the last batch has 2 rows
    still = model.predict(X, verbose=0)
    np.testing.assert_array_equal(trained.predict(X, verbose=0), still)
    loss = -np.log(still[np.arange(12), Y]).mean()
    assert trained.evaluate(X, Y, verbose=0)[0] == pytest.approx(loss, rel=1e-4)
    with dropkit.mode(trained, "mc"):
        assert trained.predict(X, verbose=0).shape == still.shape
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.predict(X, verbose=0), still, rtol=1e-5)
    assert again.alpha == 1.0
    assert not again.divergence.from_logits


def test_padding_does_not_count_in_the_divergence() -> None:
    words = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    model = keras.Sequential([keras.layers.Embedding(5, 3, mask_zero=True), dk.Dropout(0.5, seed=1)])
    trained = dk.RDrop(model, from_logits=True)
    y = trained(words, training=True)
    logs = log_softmax(ops.convert_to_numpy(y))
    trained.compile("sgd", loss=lambda _, each: 0 * ops.mean(each, -1))
    found = trained.compute_loss(words, ops.zeros((2, 4)), y, training=True)
    rows = divergence(logs[:2], logs[2:])
    assert float(ops.convert_to_numpy(found)) == pytest.approx(rows[words > 0].mean(), rel=1e-4)


def test_the_divergence_of_certain_predictions_is_finite() -> None:
    found = dk.SymmetricKL()(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))
    assert float(found) == pytest.approx(-np.log(keras.config.epsilon()), rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(dk.SymmetricKL(from_logits=True)))
    assert again.from_logits


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dk.RDrop(made()[0], -1.0), "alpha"),
        (lambda: dk.RDrop(keras.layers.Dense(2)), "model"),
        (lambda: dk.SymmetricKL()(np.ones((3, 1)), np.ones((3, 1))), "two classes or more"),
        (lambda: dk.SymmetricKL()(np.ones((3, 2)), np.ones((3, 4))), "have one shape"),
        (lambda: dk.SymmetricKL(**WRONG), "from_logits"),
        (lambda: two_outputs().fit(X, (X[:, :3], X[:, :3]), verbose=0), "model has one output"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()


def two_outputs() -> Any:
    inputs = keras.Input((5,))
    trained = dk.RDrop(keras.Model(inputs, (keras.layers.Dense(3)(inputs), keras.layers.Dense(3)(inputs))))
    trained.compile("sgd", ["mse", "mse"], run_eagerly=True)
    return trained
