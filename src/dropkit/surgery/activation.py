"""Which modules are activations: torch's by their class, all others by what they do."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from dropkit._dispatch import is_keras, keras_where_loaded

__all__ = ["ACTIVATIONS", "ends_in_activation", "is_activation"]

ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
)

_SPANS = (2.0, 64.0)
"""The bends of most lie within 2 of 0; ReLU6 and clamps have theirs further out."""
_POINTS, _WIDTH = 33, 8
_TAILS = ((), (3,), (3, 3))
_BENT = 1e-4
"""Of the largest value: far above rounding, far below the bend of any activation on the probe."""


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's activations, or maps every entry by itself and not along a line.

    The second is tried on a copy in eval mode, with numbers up to 64 on both sides of 0; it needs a module
    without children whose parameters, if any, are single numbers or one a channel. So GELUActivation of
    transformers is one, and a Swish that learns its slope; Softmax, Dropout, Identity, norms and poolings are
    none, and no module is that cannot be copied.

    Args:
        module: of any class; it is left as it was.

    >>> [is_activation(module) for module in (nn.GELU(), nn.Hardshrink(), nn.Softmax(-1), nn.Identity())]
    [True, True, False, False]
    """
    if isinstance(module, ACTIVATIONS) or ends_in_activation(module):
        return True
    if any(True for _ in module.children()):
        return False
    try:
        return _bends_each_entry(module)
    except Exception:  # of a stranger's module, which takes other inputs or no copy
        return False


def ends_in_activation(module: nn.Module) -> bool:
    """Whether a module is a layer of Keras, on its torch backend, that is an activation or ends in one."""
    if not is_keras(module):
        return False
    keras = keras_where_loaded()
    alone = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.PReLU, keras.layers.ELU)
    function = getattr(module, "activation", keras.activations.linear)
    return isinstance(module, alone) or (callable(function) and function is not keras.activations.linear)


@torch.no_grad()
def _bends_each_entry(module: nn.Module) -> bool:
    sizes = [parameter.shape for parameter in module.parameters()]
    if any(size.numel() != max(size, default=1) for size in sizes):
        return False  # a matrix: it mixes
    widths = {_WIDTH, *(size.numel() for size in sizes)} - {1}
    copied = _copy(module).to("cpu", torch.float32).eval()
    shapes = [(width, *tail) for width in sorted(widths) for tail in _TAILS]
    with torch.random.fork_rng(devices=[]):
        found = [images for shape in shapes for images in _all_images(copied, shape)]
    alone = [images for images in found if images is not None]
    bends = (images.diff(n=2, dim=0).abs().max() > _BENT * images.abs().max() for images in alone)
    return len(alone) == len(found) and any(bends)


def _copy(module: nn.Module) -> nn.Module:
    """Return a copy; of a tensor that a pass has left in its module deepcopy would make none."""
    left = [value for value in vars(module).values() if isinstance(value, Tensor)]
    return copy.deepcopy(module, {id(value): value.detach().clone() for value in left})


def _all_images(module: nn.Module, shape: tuple[int, ...]) -> list[Tensor | None]:
    try:
        return [_images(module, span, shape) for span in _SPANS]
    except Exception:  # as of a module that takes images alone
        return []


def _images(module: nn.Module, span: float, shape: tuple[int, ...]) -> Tensor | None:
    """What a grid of points becomes in each entry, or None where an entry depends on others."""
    points = torch.linspace(-span, span, _POINTS)
    rows, entries = torch.arange(_POINTS)[:, None], torch.arange(math.prod(shape))
    rolled = (rows + entries) % _POINTS
    same, mixed, part = (
        _flat(module, points[index].reshape(-1, *shape))
        for index in (rows.expand(-1, len(entries)), rolled, rolled[: _POINTS // 2])
    )
    expected, near = same.gather(0, rolled), _BENT * float(same.abs().max())
    alone = torch.allclose(mixed, expected, atol=near) and torch.allclose(part, mixed[: len(part)], atol=near)
    return same if alone else None


def _flat(module: nn.Module, inputs: Tensor) -> Tensor:
    shape = inputs.shape  # before the call: a module may work in place
    outputs = module.forward(inputs)
    if not isinstance(outputs, Tensor) or outputs.shape != shape:
        raise TypeError("an activation keeps the shape")
    return outputs.flatten(1)
