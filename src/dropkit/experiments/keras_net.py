"""A Keras model as a torch module, so that a study trains it: layers of Keras's torch backend are such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dropkit._dispatch import is_keras, keras_where_loaded
from dropkit.core.check import DropkitError

__all__ = ["ChannelsLast", "KerasNet", "built", "clip_kernels_"]


def built(make: Callable[[tuple[int, ...]], Any], shape: tuple[int, ...]) -> Any:
    """Return the model that a factory makes for rows of a shape: a torch module, or a `KerasNet`.

    The shape has channels first; a factory of Keras models gets it with channels last, if Keras has them so.

    Raises:
        DropkitError: Keras runs on another backend.

    >>> built(lambda shape: nn.Linear(shape[0], 2), (4, 5, 6))
    Linear(in_features=4, out_features=2, bias=True)
    """
    try:
        model = make(shape)
    except Exception:
        # A convolution of Keras may not fit channels that stand where it has a side.
        model = None if _last(shape) == shape else _or_none(make, _last(shape))
        if not is_keras(model):
            raise
    else:
        if is_keras(model) and _last(shape) != shape:
            model = make(_last(shape))
    return _as_module(model)


def _or_none(make: Callable[[tuple[int, ...]], Any], shape: tuple[int, ...]) -> Any:
    try:
        return make(shape)
    except Exception:  # the first error says more
        return None


def _as_module(model: Any) -> Any:
    """Return a Keras model as a module of torch, and anything else as it is.

    Raises:
        DropkitError: Keras runs on another backend.
    """
    if not is_keras(model):
        return model
    backend = keras_where_loaded().backend.backend()
    if backend != "torch":
        mend = "set KERAS_BACKEND=torch for the study; what it finds holds on every backend"
        raise DropkitError("model", "is one of Keras's torch backend, on which a study trains", backend, mend)
    return KerasNet(model)


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a row with channels last where Keras has them so."""
    keras = keras_where_loaded()
    last = keras is not None and keras.config.image_data_format() == "channels_last"
    return (*shape[1:], shape[0]) if last and len(shape) == 3 else shape


class KerasNet(nn.Module):
    """A Keras model whose layers are children, in the order of the model.

    Args:
        model: of Keras, on its torch backend; it gives logits or numbers, as every model of a study.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        layers = [layer for layer in model._flatten_layers() if _is_leaf(layer)]
        for layer in layers:
            _number(layer)
        self.layers = nn.ModuleList(layers)
        # Not as a child: its parameters would be there twice.
        self.model = (model,)

    def forward(self, x: Tensor) -> Tensor:
        """Call the model, with images as Keras wants them."""
        if x.ndim == 4 and _last((1, 2, 3)) != (1, 2, 3):
            x = x.movedim(1, -1)
        y: Tensor = self.model[0](x, training=self.training)
        return y


@torch.no_grad()
def clip_kernels_(net: KerasNet, radius: float) -> None:
    """Bring the weights coming into each unit back into the ball: `dropkit.torch.max_norm_` for Keras."""
    for layer in net.layers:
        kernel = getattr(layer, "kernel", None)
        if kernel is not None:
            weight = kernel.value
            norms = torch.linalg.vector_norm(weight, dim=tuple(range(weight.ndim - 1)), keepdim=True)
            weight.mul_((radius / norms).clamp(max=1.0))


def _is_leaf(layer: Any) -> bool:
    return type(layer).__name__ != "InputLayer" and not list(layer._flatten_layers(include_self=False))


def _number(layer: Any) -> None:
    """Name the parameters of a layer by their numbers: Keras's names count all layers that were ever made."""
    held = layer._modules.get("_torch_params")
    if held is not None:
        named = {str(number): value for number, value in enumerate(held.values())}
        layer._modules["_torch_params"] = nn.ParameterDict(named)


class ChannelsLast(nn.Module):
    """A layer that wants channels first, on tensors that have them last.

    >>> import torch
    >>> from dropkit.torch import SpatialDropout
    >>> ChannelsLast(SpatialDropout(0.5))(torch.ones(1, 2, 2, 3)).shape
    torch.Size([1, 2, 2, 3])
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Drop."""
        y: Tensor = self.layer(x.movedim(-1, 1)).movedim(1, -1)
        return y
