"""Recurrent layers whose state is dropped, or keeps its old value by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from dropkit.core import drop as core
from dropkit.core.check import DropkitError
from dropkit.keras.check import check_rate
from dropkit.keras.layer import Drop, registered
from dropkit.methods.locked_dropout import locked_dropout
from dropkit.methods.zoneout import zoneout as zoneout_law

__all__ = ["DropRNN"]

Tensor = Any


@registered
class DropRNN(keras.layers.RNN):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.RNN` around any cell, with dropout of the state or zoneout.

    `state` multiplies the hidden state that a step takes by one mask for the whole sequence (Gal and
    Ghahramani 2016). `zoneout` lets each unit of a new state keep its old value, with a coin of its own at
    every step (Krueger et al. 2017); evaluation takes the expected value. All coins of a call are drawn
    before its loop, for axes (batch, time, units).

    Args:
        cell: a cell of Keras, e.g. `keras.layers.LSTMCell(32)`.
        state: the rate of the hidden state, in [0, 1], or a schedule.
        zoneout: the probability that a unit keeps its old value, in [0, 1], or a schedule; or one for each
            state of the cell, e.g. `(0.05, 0.5)` for the hidden state and the memory of an LSTM.
        seed: of the generators; without one, numbers of Keras's.
        **kwargs: those of `keras.layers.RNN`, e.g. `return_sequences`.

    Raises:
        DropkitError: a rate lies outside [0, 1], or there are more or fewer than the cell has states.

    >>> layer = DropRNN(keras.layers.LSTMCell(5), state=0.3, zoneout=(0.05, 0.5))
    >>> tuple(layer(ops.ones((2, 7, 3)), training=True).shape)
    (2, 5)
    """

    def __init__(
        self, cell: Any, state: Any = 0.0, zoneout: Any = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(_Cell(cell, state, zoneout, seed), **kwargs)
        self.seed = seed

    def call(
        self, sequences: Tensor, initial_state: Any = None, mask: Any = None, training: bool | None = False
    ) -> Any:
        """Run over the steps of `(batch, time, features)`; outputs and states are those of Keras's layer."""
        with_noise = self.cell.noisy(sequences, training)
        return super().call(with_noise, initial_state, mask, training)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return dict(super().get_config(), seed=self.seed, **self.cell.get_config())


class _Cell(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A cell that finds the noise of its step behind the features of its input."""

    def __init__(self, cell: Any, state: Any, zoneout: Any, seed: int | None) -> None:
        super().__init__(name=cell.name, dtype=cell.dtype_policy)
        self.cell = cell
        sizes = cell.state_size
        self._sizes = [sizes] if isinstance(sizes, int) else list(sizes)
        each = list(zoneout) if isinstance(zoneout, Sequence) else [zoneout] * len(self._sizes)
        if len(each) != len(self._sizes):
            rule, mend = f"has a rate for each of the {len(self._sizes)} states", "or give one for all"
            raise DropkitError("zoneout", rule, zoneout, mend)
        self.state = _noise(locked_dropout(check_rate(state)), seed, "state")
        self.zoneout = [
            _noise(
                zoneout_law(check_rate(rate)), None if seed is None else seed + 1 + place, f"zoneout_{place}"
            )
            for place, rate in enumerate(each)
        ]
        self._drawn: list[int] = []

    @property
    def state_size(self) -> Any:
        return self.cell.state_size

    @property
    def output_size(self) -> int:
        return int(getattr(self.cell, "output_size", None) or self._sizes[0])

    def get_initial_state(self, batch_size: Any = None) -> Any:
        return self.cell.get_initial_state(batch_size=batch_size)

    def build(self, input_shape: Any) -> None:
        # A model that is loaded has built it already.
        if not self.cell.built:
            self.cell.build(input_shape)
        self._features = input_shape[-1]
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The arguments as plain data."""
        state, *zoneout = (layer.get_config()["rate"] for layer in self._layers_of_noise())
        cell = keras.saving.serialize_keras_object(self.cell)
        return {"cell": cell, "state": state, "zoneout": zoneout}

    def noisy(self, sequences: Tensor, training: bool | None) -> Tensor:
        """Return the sequences with the noise of every step behind the features."""
        batch, time, _ = ops.shape(sequences)
        parts, self._drawn = [sequences], []
        for place, (layer, size) in enumerate(zip(self._layers_of_noise(), self._noise_sizes(), strict=True)):
            if layer.draws(training):
                ones = ops.ones((batch, time, size), sequences.dtype)
                parts.append(layer.call(ones, training=True))
                self._drawn.append(place)
        return ops.concatenate(parts, -1) if self._drawn else sequences

    def call(self, inputs: Tensor, states: Any, training: bool | None = False) -> Any:
        takes = {"training": training} if getattr(self.cell, "_call_has_training_arg", False) else {}
        inputs, noise = self._apart(inputs)
        held = list(states) if isinstance(states, list | tuple) else [states]
        taken = [held[0] * noise[0], *held[1:]] if 0 in noise else held
        output, new = self.cell(inputs, taken if isinstance(states, list | tuple) else taken[0], **takes)
        fresh = list(new) if isinstance(new, list | tuple) else [new]
        for place, layer in enumerate(self.zoneout):
            if layer.can_draw:
                kept = noise.get(1 + place, 1 - layer.rate_now)
                fresh[place] = held[place] + kept * (fresh[place] - held[place])
        # The output of Keras's cells is their hidden state.
        return (fresh[0] if self.zoneout[0].can_draw else output), fresh

    def _layers_of_noise(self) -> list[Drop]:
        return [self.state, *self.zoneout]

    def _noise_sizes(self) -> list[int]:
        return [self._sizes[0], *self._sizes]

    def _apart(self, inputs: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        sizes, start, noise = self._noise_sizes(), self._features, {}
        for place in self._drawn:
            noise[place] = inputs[:, start : start + sizes[place]]
            start += sizes[place]
        return inputs[:, : self._features], noise


def _noise(law: core.Drop, seed: int | None, name: str) -> Drop:
    # A coin of zoneout says which value is taken; nothing is scaled.
    return Drop(law if name == "state" else replace(law, scale="none"), seed=seed, name=name)
