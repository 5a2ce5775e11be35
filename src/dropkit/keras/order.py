"""In what order features lie at a place of a Keras model, which flattens with channels last.

PyTorch flattens with channels first, so the same numbers stand at other places there.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import keras
import numpy as np

from dropkit.keras.axes import GLOBAL_POOLING, KEEPING, Axes, alike, axes_or, has_kernel, unknown

__all__ = ["rows"]

_LAYERS = keras.layers


class _Flat(NamedTuple):
    """How features were flattened: sizes in Keras's order of axes, and PyTorch's order of these."""

    sizes: tuple[int, ...]
    axes: Axes


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
    found = {flat for node in layer._inbound_nodes for flat in map(_flattened, node.input_tensors)}
    if len(found) > 1:
        raise unknown(layer)
    flat = found.pop() if found else None
    if flat is None:
        return None
    return np.arange(prod(flat.sizes)).reshape(flat.sizes).transpose(flat.axes).reshape(-1)


def _flattened(tensor: Any) -> _Flat | None:
    """How the features of a tensor were flattened, where PyTorch has another order of them."""
    operation, call, _ = getattr(tensor, "_keras_history", (None, 0, 0))
    if operation is None or isinstance(operation, _LAYERS.InputLayer):
        return None
    inputs = operation._inbound_nodes[call].input_tensors
    if isinstance(operation, _LAYERS.Flatten):
        return _turned(operation, inputs[0])
    inside = isinstance(operation, keras.Model)
    # What comes into such a layer is asked of the layer itself; to follow it from here too takes years.
    if has_kernel(operation) and not inside and not _is_residual(operation):
        return None
    before = {_flattened(each) for each in inputs}
    if inside and before == {None} and len(operation.outputs) == 1:
        return _flattened(operation.outputs[0])
    if before == {None} and _shares_order(operation, inputs, tensor):
        return None
    if len(before) == 1 and isinstance(operation, KEEPING):
        return before.pop()
    raise unknown(operation)


def _turned(flatten: Any, taken: Any) -> _Flat | None:
    """In what order a Flatten leaves its features, where PyTorch's is another."""
    if len(taken.shape) < 3:
        return _flattened(taken)
    own, axes = alike(taken), axes_or(taken, flatten.data_format)
    # Keras turns channels that come first before it flattens.
    own = (*own[1:], 0) if flatten.data_format == "channels_first" else own
    if axes == own:
        return None
    return _Flat(tuple(taken.shape[1 + axis] for axis in own), tuple(own.index(axis) for axis in axes))


def _shares_order(operation: Any, inputs: list[Any], output: Any) -> bool:
    """Whether features in an order that PyTorch shares leave an operation so."""
    if isinstance(operation, (*KEEPING, *GLOBAL_POOLING)) or has_kernel(operation):
        return True
    ranks = {len(each.shape) for each in (*inputs, output)}
    if isinstance(operation, _LAYERS.Concatenate) or ranks == {2}:
        return True
    # Places may be moved where channels stay.
    return 2 not in ranks and all(each.shape[-1] == output.shape[-1] for each in inputs)


def _is_residual(operation: Any) -> bool:
    from dropkit.keras.weights import StochasticDepth

    return isinstance(operation, StochasticDepth)
