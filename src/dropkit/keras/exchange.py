"""Weights and rates from a Keras model to a PyTorch model of the same shape, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from dropkit.core.check import DropkitError
from dropkit.keras.axes import norm_axes, takes_maps
from dropkit.keras.layer import Layer
from dropkit.keras.order import rows
from dropkit.keras.partners import difference

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
_STEPS = (("strides", "stride"), ("dilation_rate", "dilation"), ("groups", "groups"))


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
    `Embedding`; and dropkit's layers, whose numbers, steps of schedules or learned rates move. Images, and
    sequences that convolutions or pooling made, are flattened with channels last in Keras and first in
    PyTorch: what follows a `Flatten` is put in PyTorch's order. A `Permute` before it may lead to that order.
    Padding is not compared: with strides above 1, Keras's "same" may pad more at the end, and PyTorch's
    numbers pad both sides alike, so that outputs differ for the same weights.

    Args:
        keras_model: a functional or sequential Keras model.
        torch_model: a torch module with the same layers in the same order.

    Returns:
        what moved, a line each.

    Raises:
        DropkitError: a layer has no partner, or one of another shape, epsilon, stride, dilation or groups,
            of another noise, scale, sharing of coins or kind of rate, or the order of features cannot be
            followed; then nothing is changed.

    >>> import torch
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
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

    if not isinstance(torch_model, nn.Module):
        raise DropkitError("torch_model", "is a torch module", type(torch_model), "give the module itself")
    placed = list({id(pair[0]): pair for pair in _placed(keras_model)}.values())
    modules = [(name, module) for name, module in torch_model.named_modules() if not _is_empty(module)]
    ours = [pair for pair in modules if _has_rate(pair[1])]
    weights = [pair for pair in modules if not _has_rate(pair[1])]
    moves: list[_Move] = []
    weighty = [pair for pair in placed if _is_weighty(pair[0])]
    for (layer, outer), (name, module) in _paired(weighty, weights, "weights"):
        moves += _weights(layer, name, module, outer)
    dropping = [pair for pair in placed if isinstance(pair[0], Layer)]
    for (layer, _), (name, module) in _paired(dropping, ours, "rates"):
        moves.append(_rate(layer, name, module))
    return moves


def _placed(model: Any) -> Iterator[tuple[Any, Any]]:
    """Pair every layer with the one that stands for it in the graph: itself, or the wrapper around it."""
    # A subclass of the user's may call anything.
    of_keras = isinstance(model, keras.Model) and type(model).__module__.startswith("keras.")
    if not of_keras or not model.built:
        mend = "what a subclass calls cannot be seen: exchange its parts, e.g. as keras.Sequential"
        found = type(model).__name__
        raise DropkitError("keras_model", "is a functional or sequential model that is built", found, mend)
    for layer in model.layers:
        yield from _inside(layer, layer)


def _inside(layer: Any, outer: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(layer, keras.Model):
        ordered = any(map(_needs_order, layer._flatten_layers()))
        if rows(outer) is not None or (ordered and takes_maps(outer)):
            rule = "has flattened features go into layers, not into models, as maps to be flattened or normed"
            raise DropkitError("keras_model", rule, layer.name, "call the layers one by one")
        yield from _placed(layer)
        return
    yield layer, outer
    for child in layer._layers:
        yield from _inside(child, outer)


def _needs_order(layer: Any) -> bool:
    """Whether the order of the axes that come in matters."""
    several = isinstance(layer, keras.layers.LayerNormalization) and len(np.atleast_1d(layer.axis)) > 1
    return several or isinstance(layer, keras.layers.Flatten)


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


def _paired(layers: list[tuple[Any, Any]], modules: list[Any], what: str) -> Iterator[tuple[Any, Any]]:
    if len(layers) != len(modules):
        found = f"{len(layers)} and {len(modules)}"
        mend = f"Keras: {[layer.name for layer, _ in layers]}; PyTorch: {[name for name, _ in modules]}"
        raise DropkitError("torch_model", f"has as many layers with {what} as the Keras model", found, mend)
    return zip(layers, modules, strict=True)


def _refuse(layer: Any, name: str, module: Any, rule: str) -> None:
    found = f"{layer.name} ({type(layer).__name__}) and {name} ({type(module).__name__})"
    raise DropkitError("torch_model", rule, found, "make the two models alike there")


def _weights(layer: Any, name: str, module: Any, outer: Any) -> list[_Move]:
    places = rows(outer)
    kind, names = _KINDS.get(type(layer).__name__, ("", ()))
    if not kind or not type(module).__name__.startswith(kind):
        _refuse(layer, name, module, "has partners of the same kind that are known")
    if abs(getattr(layer, "epsilon", 0.0) - getattr(module, "eps", 0.0)) > 1e-12:
        _refuse(layer, name, module, f"has the epsilon {layer.epsilon} of its partner")
    _check_steps(layer, name, module)
    moves = []
    for pair in names:
        ours, theirs = pair.split()
        variable: Any = getattr(layer, ours, None)
        tensor: Any = getattr(module, theirs, None)
        if (variable is None) != (tensor is None):
            _refuse(layer, name, module, f"has {theirs!r} where its partner has {ours!r}")
        if variable is None:
            continue
        turn = _turn(variable, layer, outer)
        moves.append(_weight(f"{layer.name}.{ours}, {name}.{theirs}", variable, tensor, turn, places))
        if tuple(moves[-1].of_keras().shape) != tuple(tensor.shape):
            _refuse(layer, name, module, f"has the shapes of its partner, {tuple(variable.shape)} in Keras")
    return moves


def _check_steps(layer: Any, name: str, module: Any) -> None:
    """Refuse a convolution that slides otherwise than its partner."""
    for ours, theirs in _STEPS:
        own = getattr(layer, ours, None)
        if hasattr(layer, "kernel_size") and own != getattr(module, theirs):
            _refuse(layer, name, module, f"has the {theirs} {own} of its partner")


def _weight(
    name: str, variable: Any, tensor: Any, turn: tuple[int, ...] = (), places: Array | None = None
) -> _Move:
    # The inputs of a dense layer, or the features of a norm.
    rows = places if variable.name != "bias" else None

    def of_keras() -> Array:
        value = np.asarray(keras.ops.convert_to_numpy(variable.value))
        return (value if rows is None else value[rows]).transpose(turn)

    def into_torch(value: Array) -> None:
        tensor.data.copy_(tensor.new_tensor(np.array(value, order="C")))

    def into_keras(value: Array) -> None:
        value = value.transpose(np.argsort(turn))
        variable.assign(value if rows is None else value[np.argsort(rows)])

    return _Move(name, of_keras, lambda: tensor.detach().cpu().numpy(), into_keras, into_torch)


def _turn(variable: Any, layer: Any, outer: Any) -> tuple[int, ...]:
    """The axes of a weight of Keras in PyTorch's order."""
    rank = len(variable.shape)
    if variable.name == "embeddings" or rank < 2:
        return tuple(range(rank))
    if variable.name == "kernel":  # (places, inputs, outputs); in PyTorch (outputs, inputs, places)
        return (rank - 1, rank - 2, *range(rank - 2))
    return norm_axes(layer, outer)


def _rate(layer: Any, name: str, module: Any) -> _Move:
    told = f"{layer.name}.rate, {name}.p"
    if hasattr(layer, "logit") and hasattr(module, "logit"):
        return _weight(f"{layer.name}.logit, {name}.logit", layer.logit, module.logit)
    ours, theirs = layer.description, getattr(module, "description", None)
    if theirs is not None and (differs := difference(layer, module)):
        _refuse(layer, name, module, f"has {differs}")
    plain = theirs is not None and isinstance(ours.rate, float) and isinstance(theirs.rate, float)
    if not plain:
        if theirs is None or ours.rate != theirs.rate:
            _refuse(layer, name, module, "has partners with the same schedule, or with numbers")
        if not layer.scheduled:
            # A rate for each place does not move.
            return _Move(told, lambda: None, lambda: None, lambda _: None, lambda _: None)
        return _Move(told, lambda: layer.step, lambda: int(module.step), layer.move_to, module.move_to)
    if module.p != 0 and not hasattr(layer, "seed_generator"):
        _refuse(layer, name, module, "has a rate of 0 where its partner was made with 0")

    def into_keras(value: Array) -> None:
        layer.rate = float(value)

    def into_torch(value: Array) -> None:
        module.p = float(value)

    return _Move(told, lambda: layer.rate, lambda: module.p, into_keras, into_torch)
