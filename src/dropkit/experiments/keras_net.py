"""A Keras model as a torch module, so that a study trains it: layers of Keras's torch backend are such."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from dropkit.core.check import DropkitError

__all__ = ["ChannelsLast", "KerasNet", "as_module", "clip_kernels_", "in_order_of_keras"]


def as_module(model: Any) -> Any:
    """Return a Keras model as a module of torch, and anything else as it is.

    Raises:
        DropkitError: Keras runs on another backend.
    """
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):
        return model
    backend = keras.backend.backend()
    if backend != "torch":
        mend = "set KERAS_BACKEND=torch for the study; what it finds holds on every backend"
        raise DropkitError("model", "is one of Keras's torch backend, on which a study trains", backend, mend)
    return KerasNet(model)


def in_order_of_keras(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a row with channels last where Keras has them so; a study has them first."""
    keras = sys.modules.get("keras")
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
        if x.ndim == 4 and in_order_of_keras((1, 2, 3)) != (1, 2, 3):
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
