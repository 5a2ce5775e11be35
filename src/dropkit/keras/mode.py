"""Switch dropout alone: Monte Carlo passes with everything else in eval."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import keras

from dropkit.core.check import DropkitError
from dropkit.core.mode import Mode
from dropkit.keras.layer import Layer

__all__ = ["can_draw", "draws_in_training", "force", "sources", "switch"]

_OWN = (keras.layers.Dropout, keras.layers.GaussianDropout, keras.layers.AlphaDropout)
_RECURRENT = (
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
_CELLS = (keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)
_ATTENTION = keras.layers.Attention  # `AdditiveAttention` is one too; others hold a layer of dropout


@contextmanager
def switch(model: Any, mode: Mode) -> Iterator[None]:
    """Switch every source of dropout of a model, and nothing else, until the block ends.

    Sources are dropkit's layers, Keras's own, and the rates inside `LSTM`, `GRU`, `SimpleRNN`, their cells,
    `ConvLSTM` and the layers of attention. Batch normalisation and all the rest follow `training`, which
    stays what the call says. `predict` is compiled anew inside the block and after it; a function that you
    compiled yourself keeps the mode that it was traced in.

    Raises:
        DropkitError: no source was found, or none that can draw where draws are asked for.
    """
    found = sources(model)
    if not found or (mode != "eval" and not any(map(can_draw, found))):
        rule = "has dropout with a rate above 0" if found else "has a source of dropout"
        mend = "calls of keras.random.dropout cannot be seen: use dropkit.keras.Dropout layers"
        raise DropkitError("model", rule, type(model).__name__, mend)
    with ExitStack() as stack:
        stack.callback(_forget, model)
        for layer in found:
            stack.callback(force(layer, mode))
        _forget(model)
        yield


def sources(model: Any) -> list[Any]:
    """Return the layers of a model that drop: ours, Keras's, and those with a rate among their arguments."""
    layers = _layers(model)
    inside = {id(layer.cell) for layer in layers if isinstance(layer, _RECURRENT)}
    return [
        layer
        for layer in layers
        if id(layer) not in inside and (isinstance(layer, (Layer, *_OWN)) or _inner_rate(layer))
    ]


def _layers(model: Any) -> list[Any]:
    return list(model._flatten_layers())


def _inner_rate(layer: Any) -> float:
    if isinstance(layer, _ATTENTION):
        return float(layer.dropout)
    return max(layer.dropout, layer.recurrent_dropout) if isinstance(layer, _RECURRENT + _CELLS) else 0.0


def can_draw(layer: Any) -> bool:
    """Return whether a source of dropout could change anything: False at a rate of 0."""
    if isinstance(layer, Layer):
        return layer.can_draw
    return bool(_inner_rate(layer) or getattr(layer, "rate", 0.0))


def draws_in_training(layer: Any) -> bool:
    """Return whether a source of dropout draws in training: nothing has switched it off.

    >>> [draws_in_training(each) for each in (keras.layers.Dropout(0.5), keras.layers.Dropout(0.0))]
    [True, False]
    """
    if isinstance(layer, Layer):
        return layer.draws(True)
    return can_draw(layer) and "call" not in vars(layer)


def force(layer: Any, mode: Mode) -> Callable[[], None]:
    """Set one layer's own state and return what puts it back."""
    if isinstance(layer, Layer):
        before = layer.forced_mode
        layer.force(mode)
        return lambda: layer.force(before)
    original = layer.call
    signature = inspect.signature(original)

    def forced(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.arguments["training"] = mode != "eval"
        return original(*given.args, **given.kwargs)

    # Past Keras's tracking of attributes, which would take the function for part of the model.
    held = vars(layer)
    before = held.get("call")
    held["call"] = forced

    def restore() -> None:
        held.pop("call") if before is None else held.update(call=before)

    return restore


def _forget(model: Any) -> None:
    """Let Keras compile its steps anew: they hold the mode that they were traced in."""
    for layer in _layers(model):
        if isinstance(layer, keras.Model):
            layer.train_function = layer.test_function = layer.predict_function = None
