"""In what order PyTorch has the axes of a tensor of a Keras model: maps have channels last here, first there.

An operation that moves entries is refused, as nothing says what a model of PyTorch does in its place.
"""

from __future__ import annotations

from math import prod
from typing import Any

import keras

from dropkit.core.check import DropkitError
from dropkit.keras.layer import Layer

__all__ = [
    "GLOBAL_POOLING",
    "KEEPING",
    "Axes",
    "alike",
    "axes_or",
    "has_kernel",
    "norm_axes",
    "takes_maps",
    "unknown",
]

Axes = tuple[int, ...]
_LAYERS = keras.layers
KEEPING = (
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
"""Layers that leave every feature in its place."""
# They leave every axis of a map in its place, and do the same to PyTorch's map.
_KEEPING_AXES = (
    *KEEPING,
    _LAYERS.ActivityRegularization,
    _LAYERS.Concatenate,
    _LAYERS.Cropping1D,
    _LAYERS.Cropping2D,
    _LAYERS.Cropping3D,
    _LAYERS.GaussianNoise,
    _LAYERS.GroupNormalization,
    _LAYERS.Identity,
    _LAYERS.Masking,
    _LAYERS.PReLU,
    _LAYERS.RMSNormalization,
    _LAYERS.Rescaling,
    _LAYERS.UnitNormalization,
    _LAYERS.UpSampling1D,
    _LAYERS.UpSampling2D,
    _LAYERS.UpSampling3D,
    _LAYERS.ZeroPadding1D,
    _LAYERS.ZeroPadding2D,
    _LAYERS.ZeroPadding3D,
)
# Of keras.ops, whose classes are not public: each entry comes of those at its place.
_ENTRYWISE = {
    "Abs",
    "Absolute",
    "Add",
    "Cast",
    "Clip",
    "Divide",
    "Elu",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSilu",
    "HardTanh",
    "LeakyRelu",
    "Log",
    "LogSigmoid",
    "Maximum",
    "Minimum",
    "Mish",
    "Multiply",
    "Negative",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Square",
    "Subtract",
    "Tanh",
    "TrueDivide",
}
_CONVOLUTIONS = (
    _LAYERS.Conv1D,
    _LAYERS.Conv1DTranspose,
    _LAYERS.Conv2D,
    _LAYERS.Conv2DTranspose,
    _LAYERS.Conv3D,
    _LAYERS.Conv3DTranspose,
    _LAYERS.DepthwiseConv1D,
    _LAYERS.DepthwiseConv2D,
    _LAYERS.SeparableConv1D,
    _LAYERS.SeparableConv2D,
)
GLOBAL_POOLING = (
    _LAYERS.GlobalAveragePooling1D,
    _LAYERS.GlobalAveragePooling2D,
    _LAYERS.GlobalAveragePooling3D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.GlobalMaxPooling3D,
)
"""Layers that leave one number of each map."""
_POOLING = (
    *GLOBAL_POOLING,
    _LAYERS.AveragePooling1D,
    _LAYERS.AveragePooling2D,
    _LAYERS.AveragePooling3D,
    _LAYERS.MaxPooling1D,
    _LAYERS.MaxPooling2D,
    _LAYERS.MaxPooling3D,
)
_OVER_TIME = (_LAYERS.TimeDistributed, _LAYERS.Bidirectional)


def axes_or(tensor: Any, data_format: str | None = None) -> Axes:
    """Return the axes of a tensor but the first in PyTorch's order.

    Args:
        tensor: of a functional or sequential model.
        data_format: where an input of the model has its channels; Keras's configuration says it by default.

    Raises:
        DropkitError: an operation before it moves entries in a way that is not known.

    >>> axes_or(keras.layers.Conv2D(2, 1)(keras.Input((4, 5, 3))))
    (2, 0, 1)
    >>> axes_or(keras.layers.Dense(2)(keras.Input((4, 5))))
    (0, 1)
    """
    axes = _axes(tensor)
    return _of_input(tensor, data_format) if axes is None else axes


def norm_axes(norm: Any, outer: Any) -> Axes:
    """Return the axes of the weights of a layer normalisation over several axes in PyTorch's order.

    Args:
        norm: a `LayerNormalization` that is built.
        outer: what stands for it in the graph: itself, or a wrapper around it.

    Raises:
        DropkitError: PyTorch, which normalises over the last axes of its order, has others there.

    >>> norm = keras.layers.LayerNormalization(axis=[1, 2, 3])
    >>> model = keras.Sequential([keras.Input((4, 5, 3)), norm])
    >>> norm_axes(norm, norm)
    (2, 0, 1)
    """
    taken = [tensor for node in outer._inbound_nodes for tensor in node.input_tensors]
    own = sorted(axis % len(taken[0].shape) - 1 for axis in norm.axis)
    last = {axes_or(tensor)[-len(own) :] for tensor in taken}
    found = last.pop()
    if last or sorted(found) != own:
        raise unknown(norm)
    return tuple(own.index(axis) for axis in found)


def takes_maps(model: Any) -> bool:
    """Return whether a model inside another is given axes in an order that an input has not."""
    taken = [tensor for node in model._inbound_nodes for tensor in node.input_tensors]
    return any(axes_or(tensor) != _of_input(tensor, None) for tensor in taken)


def alike(tensor: Any) -> Axes:
    """Return the axes of a tensor but the first in Keras's order."""
    return tuple(range(len(tensor.shape) - 1))


def has_kernel(operation: Any) -> bool:
    """Return whether the features that leave are numbered by weights of the operation."""
    held = getattr(operation, "variables", ())
    return any(variable.name in ("kernel", "embeddings") for variable in held)


def unknown(operation: Any) -> DropkitError:
    """Return the refusal of an operation that moves entries."""
    rule = "has layers that move features in a way known to PyTorch"
    mend = "flatten with keras.layers.Flatten, followed by Dense, or exchange the parts before and after it"
    return DropkitError("keras_model", rule, f"{operation.name} ({type(operation).__name__})", mend)


def _axes(tensor: Any) -> Axes | None:
    """The axes of a tensor but the first in PyTorch's order, or None where they are those of an input."""
    operation, call, place = getattr(tensor, "_keras_history", (None, 0, 0))
    if operation is None or isinstance(operation, _LAYERS.InputLayer):
        return None
    core, inputs = _core(operation), operation._inbound_nodes[call].input_tensors
    if isinstance(core, _CONVOLUTIONS):
        return _of_map(tensor, core.data_format)
    if isinstance(core, keras.Model):
        inside = _axes(core.outputs[place])
        return _before(operation, inputs) if inside is None else inside
    if has_kernel(core):
        # Features come last out of such a layer of PyTorch; a map may be turned back behind it.
        if len(tensor.shape) > 3:
            raise unknown(operation)
        return alike(tensor)
    if isinstance(core, _LAYERS.Permute):
        return _permuted(core, axes_or(inputs[0]))
    before = _before(operation, inputs)
    if isinstance(core, _POOLING):
        return _pooled(core, tensor, before)
    if not _keeps(core) or (before is not None and len(before) != len(tensor.shape) - 1):
        raise unknown(operation)
    return before


def _before(operation: Any, inputs: list[Any]) -> Axes | None:
    """The axes that the inputs of an operation agree on."""
    found = {_axes(each) for each in inputs if not _is_row(each)} - {None}
    if len(found) > 1:
        raise unknown(operation)
    return found.pop() if found else None


def _is_row(tensor: Any) -> bool:
    """Whether the order of axes does not matter, as at most one of them has entries side by side."""
    sizes = tensor.shape[1:]
    return None not in sizes and prod(sizes) == max(sizes, default=1)


def _permuted(permute: Any, before: Axes) -> Axes:
    after = tuple(permute.dims.index(axis + 1) for axis in before)
    # PyTorch needs no layer for an order that it has; into another its model may go or not.
    if after != tuple(range(len(after))):
        raise unknown(permute)
    return after


def _pooled(pooling: Any, tensor: Any, before: Axes | None) -> Axes:
    after = _of_map(tensor, pooling.data_format)
    # PyTorch turns a sequence of words for its pooling; it would pool over other axes of a permuted map.
    if len(after) > 2 and before not in (None, after):
        raise unknown(pooling)
    return after


def _keeps(core: Any) -> bool:
    of_ops = type(core).__module__.startswith("keras.") and not isinstance(core, _LAYERS.Layer)
    return isinstance(core, _KEEPING_AXES) or (of_ops and type(core).__name__ in _ENTRYWISE)


def _core(operation: Any) -> Any:
    """What computes inside of wrappers that leave every axis in its place."""
    while isinstance(operation, _LAYERS.Wrapper) and not isinstance(operation, _OVER_TIME):
        operation = operation.layer
    return operation


def _of_input(tensor: Any, data_format: str | None) -> Axes:
    # A sequence of words or numbers has its features last in PyTorch too.
    return alike(tensor) if len(tensor.shape) < 4 else _of_map(tensor, data_format)


def _of_map(tensor: Any, data_format: str | None) -> Axes:
    axes = alike(tensor)
    first = (data_format or keras.config.image_data_format()) == "channels_first"
    return axes if first else (*axes[-1:], *axes[:-1])
