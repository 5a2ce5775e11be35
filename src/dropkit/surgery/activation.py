"""Which modules are activations: torch's by their class, all others by what they do."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["ACTIVATIONS", "is_activation"]

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

_BENT = 1e-4  # far above rounding, far below the bend of any activation on the probe


def is_activation(module: nn.Module) -> bool:
    """Whether a module is one of torch's activations, or maps every entry by itself and not along a line.

    The second needs a module without children, parameters and buffers; it is tried on eight numbers, in eval
    mode. So GELUActivation of transformers is one, and Softmax, Dropout, Identity or a pooling are none.

    Args:
        module: of any class; it is left as it was.

    >>> [is_activation(module) for module in (nn.GELU(), nn.Hardshrink(), nn.Softmax(-1), nn.Identity())]
    [True, True, False, False]
    """
    if isinstance(module, ACTIVATIONS):
        return True
    parts = (module.children(), module.parameters(), module.buffers())
    return not any(True for part in parts for _ in part) and _bends_each_entry(module)


@torch.no_grad()
def _bends_each_entry(module: nn.Module) -> bool:
    probe, was_training = torch.linspace(-2.0, 2.0, 8), module.training
    try:
        module.training = False
        with torch.random.fork_rng(devices=[]):
            row, column = (module.forward(probe.reshape(shape)) for shape in ((1, 8), (8, 1)))
    except Exception:  # of a stranger's module, which takes other inputs
        return False
    finally:
        module.training = was_training
    shapes = tuple(each.shape if isinstance(each, torch.Tensor) else None for each in (row, column))
    if shapes != ((1, 8), (8, 1)) or not torch.allclose(row.flatten(), column.flatten()):
        return False
    return bool(torch.diff(row.flatten(), n=2).abs().max() > _BENT)
