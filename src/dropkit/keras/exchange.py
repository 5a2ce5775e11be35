"""Weights and rates from a Keras model to a PyTorch model of the same shape, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from dropkit.core.check import DropkitError
from dropkit.keras.layer import Layer

__all__ = ["from_torch", "to_torch"]

Array = Any
_NORMS = ("gamma weight", "beta bias")
_MOVING = ("moving_mean running_mean", "moving_variance running_var")
_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "Dense": ("Linear", ("kernel weight", "bias bias")),
    "Conv1D": ("Conv1d", ("kernel weight", "bias bias")),
    "Conv2D": ("Conv2d", ("kernel weight", "bias bias")),
    "Conv3D": ("Conv3d", ("kernel weight", "bias bias")),
    "BatchNormalization": ("BatchNorm", (*_NORMS, *_MOVING)),
    "LayerNormalization": ("LayerNorm", _NORMS),
    "Embedding": ("Embedding", ("embeddings weight",)),
}


class _Move(NamedTuple):
    """One weight or rate: what it is called on both sides, and how it is read and written on each."""

    name: str
    of_keras: Callable[[], Array]
    of_torch: Callable[[], Array]
    into_keras: Callable[[Array], None]
    into_torch: Callable[[Array], None]


def to_torch(keras_model: Any, torch_model: Any) -> list[str]:
    """Give a PyTorch model the weights and rates of a Keras model, on whatever backend that runs.

    Layers are paired in their order: `Dense` and `Linear`, convolutions, batch and layer normalisation,
    `Embedding`; and dropkit's layers, whose numbers or learned rates move. Images are channels last in Keras
    and channels first in PyTorch: where a `Dense` follows a `Flatten`, its rows are put in PyTorch's order.

    Args:
        keras_model: a Keras model that is built.
        torch_model: a torch module with the same layers in the same order.

    Returns:
        what moved, a line each.

    Raises:
        DropkitError: a layer has no partner, or one of another shape, epsilon or kind of rate; then nothing
            is changed.

    >>> import torch
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> to_torch(model, torch.nn.Sequential(torch.nn.Linear(3, 2)))
    ['dense.kernel, 0.weight', 'dense.bias, 0.bias']
    """
    moves = _plan(keras_model, torch_model)
    for move in moves:
        move.into_torch(move.of_keras())
    return [move.name for move in moves]


def from_torch(torch_model: Any, keras_model: Any) -> list[str]:
    """Give a Keras model the weights and rates of a PyTorch model: the way back of `to_torch`."""
    moves = _plan(keras_model, torch_model)
    for move in moves:
        move.into_keras(move.of_torch())
    return [move.name for move in moves]


def _plan(keras_model: Any, torch_model: Any) -> list[_Move]:
    from torch import nn

    if not isinstance(keras_model, keras.layers.Layer):
        raise DropkitError("keras_model", "is a Keras model", type(keras_model), "give the model itself")
    if not isinstance(torch_model, nn.Module):
        raise DropkitError("torch_model", "is a torch module", type(torch_model), "give the module itself")
    layers = list({id(layer): layer for layer in _walk(keras_model)}.values())
    modules = [(name, module) for name, module in torch_model.named_modules() if not _is_empty(module)]
    ours = [pair for pair in modules if _has_rate(pair[1])]
    weights = [pair for pair in modules if not _has_rate(pair[1])]
    moves: list[_Move] = []
    flat: tuple[int, ...] | None = None
    for layer, (name, module) in _paired([each for each in layers if _is_weighty(each)], weights, "weights"):
        flat = _flattened(layers, layer)
        moves += _weights(layer, name, module, flat)
    for layer, (name, module) in _paired([each for each in layers if isinstance(each, Layer)], ours, "rates"):
        moves.append(_rate(layer, name, module))
    return moves


def _walk(layer: Any) -> Iterator[Any]:
    yield layer
    for child in layer.layers if isinstance(layer, keras.Model) else layer._layers:
        yield from _walk(child)


def _is_weighty(layer: Any) -> bool:
    own = [*layer._trainable_variables, *layer._non_trainable_variables]
    return bool(own) and not isinstance(layer, Layer)


def _is_empty(module: Any) -> bool:
    held = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return not held and not _has_rate(module)


def _has_rate(module: Any) -> bool:
    from dropkit.torch import ConcreteDropout
    from dropkit.torch import Layer as TorchLayer

    return isinstance(module, TorchLayer | ConcreteDropout)


def _paired(layers: list[Any], modules: list[Any], what: str) -> Iterator[tuple[Any, Any]]:
    if len(layers) != len(modules):
        found = f"{len(layers)} and {len(modules)}"
        mend = f"Keras: {[layer.name for layer in layers]}; PyTorch: {[name for name, _ in modules]}"
        raise DropkitError("torch_model", f"has as many layers with {what} as the Keras model", found, mend)
    return zip(layers, modules, strict=True)


def _refuse(layer: Any, name: str, module: Any, rule: str) -> None:
    found = f"{layer.name} ({type(layer).__name__}) and {name} ({type(module).__name__})"
    raise DropkitError("torch_model", rule, found, "make the two models alike there")


def _weights(layer: Any, name: str, module: Any, flat: tuple[int, ...] | None) -> list[_Move]:
    kind, names = _KINDS.get(type(layer).__name__, ("", ()))
    if not kind or not type(module).__name__.startswith(kind):
        _refuse(layer, name, module, "has partners of the same kind that are known")
    if abs(getattr(layer, "epsilon", 0.0) - getattr(module, "eps", 0.0)) > 1e-12:
        _refuse(layer, name, module, f"has the epsilon {layer.epsilon} of its partner")
    moves = []
    for pair in names:
        ours, theirs = pair.split()
        variable: Any = getattr(layer, ours, None)
        tensor: Any = getattr(module, theirs, None)
        if (variable is None) != (tensor is None):
            _refuse(layer, name, module, f"has {theirs!r} where its partner has {ours!r}")
        if variable is None:
            continue
        moves.append(_weight(f"{layer.name}.{ours}, {name}.{theirs}", variable, tensor, flat))
        if tuple(moves[-1].of_keras().shape) != tuple(tensor.shape):
            _refuse(layer, name, module, f"has the shapes of its partner, {tuple(variable.shape)} in Keras")
    return moves


def _weight(name: str, variable: Any, tensor: Any, flat: tuple[int, ...] | None) -> _Move:
    kernel = ".kernel" in name
    rank = len(variable.shape)
    # Keras: (places, inputs, outputs); PyTorch: (outputs, inputs, places).
    turn = (rank - 1, rank - 2, *range(rank - 2)) if kernel else tuple(range(rank))
    rows = _rows(flat, variable.shape[0]) if kernel and rank == 2 else None

    def of_keras() -> Array:
        value = np.asarray(keras.ops.convert_to_numpy(variable.value))
        return (value if rows is None else value[rows]).transpose(turn)

    def into_torch(value: Array) -> None:
        tensor.data.copy_(tensor.new_tensor(np.array(value, order="C")))

    def into_keras(value: Array) -> None:
        value = value.transpose(np.argsort(turn))
        variable.assign(value if rows is None else value[np.argsort(rows)])

    return _Move(name, of_keras, lambda: tensor.detach().cpu().numpy(), into_keras, into_torch)


def _flattened(layers: list[Any], layer: Any) -> tuple[int, ...] | None:
    """The shape of what a Flatten before a layer takes, where nothing with weights stands between."""
    for before in reversed(layers[: layers.index(layer)]):
        if isinstance(before, keras.layers.Flatten):
            shape = tuple(before.input.shape[1:])
            return shape if before.data_format == "channels_last" and len(shape) > 1 else None
        if _is_weighty(before):
            return None
    return None


def _rows(flat: tuple[int, ...] | None, count: int) -> Array | None:
    """Keras's rows in PyTorch's order: channels before places."""
    if flat is None or None in flat or int(np.prod(flat)) != count:
        return None
    return np.moveaxis(np.arange(count).reshape(flat), -1, 0).reshape(-1)


def _rate(layer: Any, name: str, module: Any) -> _Move:
    told = f"{layer.name}.rate, {name}.p"
    if hasattr(layer, "logit") and hasattr(module, "logit"):
        return _weight(f"{layer.name}.logit, {name}.logit", layer.logit, module.logit, None)
    ours, theirs = layer.description, getattr(module, "description", None)
    plain = theirs is not None and isinstance(ours.rate, float) and isinstance(theirs.rate, float)
    if not plain:
        # A schedule says the rate of every step by itself.
        if theirs is None or ours.rate != theirs.rate:
            _refuse(layer, name, module, "has partners with the same schedule, or with numbers")
        step = int(module.step) if getattr(module, "step", None) is not None else None

        def move(_: Array) -> None:
            if step is not None:
                layer.move_to(step)

        return _Move(told, lambda: 0.0, lambda: 0.0, move, lambda _: None)
    if layer.rate == 0 and module.p != 0:
        _refuse(layer, name, module, "has a rate of 0 where its partner was made with 0")

    def into_keras(value: Array) -> None:
        layer.rate = float(value)

    def into_torch(value: Array) -> None:
        module.p = float(value)

    return _Move(told, lambda: layer.rate, lambda: module.p, into_keras, into_torch)
