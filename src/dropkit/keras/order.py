"""In what order features lie at a place of a Keras model, which flattens with channels last.

PyTorch flattens with channels first, so the same numbers stand at other places there.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import keras
import numpy as np

from dropkit.core.check import DropkitError
from dropkit.keras.layer import Layer

__all__ = ["rows"]

Shape = tuple[int, ...]
_LAYERS = keras.layers
_KEEPING = (
    Layer,
    _LAYERS.Dropout,
    _LAYERS.GaussianDropout,
    _LAYERS.AlphaDropout,
    _LAYERS.Activation,
    _LAYERS.ReLU,
    _LAYERS.LeakyReLU,
    _LAYERS.ELU,
    _LAYERS.Softmax,
    _LAYERS.BatchNormalization,
    _LAYERS.LayerNormalization,
    _LAYERS.Add,
    _LAYERS.Subtract,
    _LAYERS.Multiply,
    _LAYERS.Average,
    _LAYERS.Maximum,
    _LAYERS.Minimum,
)
_POOLING = (
    _LAYERS.GlobalAveragePooling1D,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.GlobalAveragePooling3D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.GlobalMaxPooling3D,
)
_SEQUENCES = (_LAYERS.Conv1D, _LAYERS.MaxPooling1D, _LAYERS.AveragePooling1D)


def rows(layer: Any) -> Any:
    """Return where PyTorch has the features that come into a layer, or None where the order is the same.

    Args:
        layer: of a functional or sequential model, as that calls it.

    Raises:
        DropkitError: a layer before it moves features in a way that is not known.

    >>> flatten, dense = keras.layers.Flatten(), keras.layers.Dense(1)
    >>> model = keras.Sequential([keras.Input((1, 2, 3)), flatten, dense])
    >>> rows(dense).tolist()
    [0, 3, 1, 4, 2, 5]
    """
    found = {shape for node in layer._inbound_nodes for shape in map(_flattened, node.input_tensors)}
    if len(found) > 1:
        raise _unknown(layer)
    shape = found.pop() if found else None
    return None if shape is None else np.moveaxis(np.arange(prod(shape)).reshape(shape), -1, 0).reshape(-1)


def _flattened(tensor: Any) -> Shape | None:
    """The shape that was flattened into the features of a tensor, where that had channels last."""
    operation, call, _ = getattr(tensor, "_keras_history", (None, 0, 0))
    if operation is None or isinstance(operation, _LAYERS.InputLayer):
        return None
    inputs = operation._inbound_nodes[call].input_tensors
    if isinstance(operation, _LAYERS.Flatten):
        return _turned(operation, inputs[0])
    before = {_flattened(each) for each in inputs}
    if isinstance(operation, keras.Model) and before == {None} and len(operation.outputs) == 1:
        return _flattened(operation.outputs[0])
    if before == {None} and _shares_order(operation, inputs, tensor):
        return None
    if len(before) == 1 and isinstance(operation, _KEEPING):
        return before.pop()
    if _has_kernel(operation) and not _is_residual(operation):
        return None
    raise _unknown(operation)


def _turned(flatten: Any, taken: Any) -> Shape | None:
    """The shape in whose order a Flatten leaves its features, where PyTorch's is another."""
    shape = tuple(taken.shape[1:])
    # A sequence of words or numbers has its features last in PyTorch too, unless convolutions made them.
    if len(shape) < 2 or (
        len(shape) == 2 and not any(isinstance(each, _SEQUENCES) for each in _before(taken))
    ):
        return None
    # Keras turns channels that come first before it flattens.
    return shape if flatten.data_format == "channels_last" else (*shape[1:], shape[0])


def _before(tensor: Any) -> Iterator[Any]:
    operation, call, _ = getattr(tensor, "_keras_history", (None, 0, 0))
    if operation is not None:
        yield operation
        for each in operation._inbound_nodes[call].input_tensors:
            yield from _before(each)


def _shares_order(operation: Any, inputs: list[Any], output: Any) -> bool:
    """Whether features in an order that PyTorch shares leave an operation so."""
    if isinstance(operation, (*_KEEPING, *_POOLING)) or _has_kernel(operation):
        return True
    ranks = {len(each.shape) for each in (*inputs, output)}
    if isinstance(operation, _LAYERS.Concatenate) or ranks == {2}:
        return True
    # Places may be moved where channels stay.
    return 2 not in ranks and all(each.shape[-1] == output.shape[-1] for each in inputs)


def _has_kernel(operation: Any) -> bool:
    """Whether the features that leave are numbered by weights of the operation."""
    held = getattr(operation, "variables", ())
    return any(variable.name in ("kernel", "embeddings") for variable in held)


def _is_residual(operation: Any) -> bool:
    from dropkit.keras.weights import StochasticDepth

    return isinstance(operation, StochasticDepth)


def _unknown(operation: Any) -> DropkitError:
    rule = "has layers that move features in a way known to PyTorch"
    mend = "flatten with keras.layers.Flatten, followed by Dense, or exchange the parts before and after it"
    return DropkitError("keras_model", rule, f"{operation.name} ({type(operation).__name__})", mend)
