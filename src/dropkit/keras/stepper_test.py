"""Rates that move during `fit`, on the backend of this process."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError

X = np.ones((32, 50), "float32")


class Seen(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """What the loss says of the share that is dropped, batch by batch."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.shares.append(float(logs["loss"]))


def zeros(_: Any, output: Any) -> Any:
    """The share of zeros, as a loss without a slope of interest."""
    dropped = keras.ops.cast(keras.ops.equal(output, 0.0), "float32")
    return keras.ops.mean(dropped, -1) + 0 * keras.ops.mean(output, -1)


def fitted(schedule: Any, epochs: int, jit: Any = "auto", model: Any = None) -> tuple[list[float], Any]:
    if model is None:
        model = keras.Sequential(
            [
                keras.Input((50,)),
                keras.layers.EinsumDense("bd,d->bd", (50,), kernel_initializer="ones"),
                dk.Dropout(schedule),
            ]
        )
        model.compile(keras.optimizers.SGD(1e-6), zeros, jit_compile=jit)
    seen = Seen()
    model.fit(X, X, batch_size=8, epochs=epochs, verbose=0, shuffle=False, callbacks=[dk.Stepper(), seen])
    return seen.shares, model


@pytest.mark.filterwarnings("default")  # of Keras's own, on torch
def test_early_and_late_dropout_end_and_begin_at_their_step() -> None:
    early, _ = fitted(dropkit.early_schedule(1.0, 3), epochs=2)
    np.testing.assert_array_equal(early, [1, 1, 1, 0, 0, 0, 0, 0])
    late, _ = fitted(dropkit.late_schedule(1.0, 6), epochs=2)
    np.testing.assert_array_equal(late, [0, 0, 0, 0, 0, 0, 1, 1])


@pytest.mark.filterwarnings("default")  # as above
def test_a_ramp_moves_and_goes_on_where_it_stood(tmp_path: Any) -> None:
    """400 coins a batch: within 6 deviations of 0.025 by chance, but for a part in 10**8."""
    shares, model = fitted(dropkit.linear_schedule(0.0, 1.0, 8), epochs=1)
    np.testing.assert_allclose(shares, np.arange(4) / 8, atol=0.15)
    more, _ = fitted(None, epochs=1, model=model)
    np.testing.assert_allclose(more, np.arange(4, 8) / 8, atol=0.15)
    assert model.layers[-1].rate == pytest.approx(7 / 8)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", custom_objects={"zeros": zeros})
    assert again.layers[-1].rate == pytest.approx(7 / 8)


def test_a_model_without_a_schedule_is_refused() -> None:
    with pytest.raises(DropkitError, match="model has a layer whose rate is a schedule"):
        fitted(0.5, epochs=1)


def test_another_callback_may_read_the_rates_between_the_batches() -> None:
    layer, stepper, seen = dk.Dropout(dropkit.linear_schedule(0.0, 1.0, 4)), dk.Stepper(), []
    model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 3), "float32")
    noting = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(stepper.rates[layer.name])
    )
    model.fit(x, x[:, :1], batch_size=2, verbose=0, callbacks=[stepper, noting])
    assert seen == [0.0, 0.25, 0.5, 0.75]
    layer.move_to(2)
    assert stepper.rates == {layer.name: 0.5}
