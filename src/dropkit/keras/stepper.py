"""Schedules in motion: the callback that moves the rates of a model while it is fitted."""

from __future__ import annotations

from typing import Any

import keras

from dropkit.core.check import DropkitError
from dropkit.keras.layer import Layer

__all__ = ["Stepper"]


class Stepper(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Moves every scheduled layer of a model with its optimizer's steps; nothing is compiled anew.

    Early dropout, for example, is `Dropout(dropkit.early_schedule(0.1, 500))` in the model and this callback
    in `fit`. The step is the optimizer's own count, so training resumes where it stood. With
    `steps_per_execution` above 1 the rates move once an execution.

    Raises:
        DropkitError: when training begins, if no layer has a rate on a schedule.

    >>> import dropkit
    >>> from dropkit.keras import Dropout
    >>> layer = Dropout(dropkit.late_schedule(0.5, 2))
    >>> model = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = keras.ops.ones((8, 3))
    >>> _ = model.fit(x, x[:, :1], batch_size=2, verbose=0, callbacks=[Stepper()])
    >>> layer.rate
    0.5
    """

    def __init__(self) -> None:
        super().__init__()
        self._layers: list[Layer] = []
        self._held: dict[int, float] = {}

    @property
    def rates(self) -> dict[str, float]:
        """The rate of each scheduled layer now, by its name."""
        self._sync()
        return {layer.name: layer.rate for layer in self._layers}

    def on_train_begin(self, logs: Any = None) -> None:
        """Find the layers."""
        found = self.model._flatten_layers()
        self._layers = [layer for layer in found if isinstance(layer, Layer) and layer.scheduled]
        self._held = {}
        if not self._layers:
            mend = "give a layer one, e.g. dropkit.keras.Dropout(dropkit.early_schedule(0.1, 500))"
            raise DropkitError("model", "has a layer whose rate is a schedule", self.model.name, mend)
        self._move(self._now())

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Bring the rates to the step that comes."""
        self._move(self._now())

    def _now(self) -> int:
        self._sync()
        return int(self.model.optimizer.iterations)

    def _sync(self) -> None:
        # On JAX the numbers of the running epoch are not in the variables.
        if self._layers and keras.backend.backend() == "jax":
            self.model.jax_state_sync()

    def _move(self, step: int) -> None:
        for layer in self._layers:
            rate = layer.description.rate(step)
            if self._held.get(id(layer)) != rate:
                layer.move_to(step)
                self._held[id(layer)] = rate
