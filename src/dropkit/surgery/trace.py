"""The graph of a model's forward pass, by torch.fx, without a trace left in the model."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import torch
from torch import fx, nn
from torch.nn.modules.dropout import _DropoutNd

from dropkit.core.check import DropkitError
from dropkit.torch.stochastic import Stochastic

__all__ = ["trace", "twin"]


def twin(model: nn.Module) -> nn.Module:
    """Return a copy that shares the tensors: a forward pass may leave things behind in its module.

    >>> model = nn.Linear(2, 2)
    >>> twin(model).weight is model.weight
    True
    """
    return copy.deepcopy(model, {id(tensor): tensor for tensor in _tensors(model)})


class _Tracer(fx.Tracer):
    """Enters a module only where there is something to see; `coarse` leaves out what holds no dropout."""

    def __init__(self, coarse: bool) -> None:
        super().__init__()
        self.coarse = coarse

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        # A recurrent network is one step of the graph, torch's own or one with sites for dropout.
        if isinstance(m, Stochastic | nn.RNNBase) or super().is_leaf_module(m, module_qualified_name):
            return True
        return self.coarse and not any(isinstance(part, Stochastic | _DropoutNd) for part in m.modules())


def trace(model: nn.Module) -> fx.Graph:
    """Return the graph of a forward pass; parts that cannot be traced do no harm if they hold no dropout.

    Args:
        model: a `twin`, in the mode that is meant.

    Raises:
        DropkitError: parts with dropout cannot be traced.

    >>> [node.op for node in trace(nn.Sequential(nn.ReLU())).nodes]
    ['placeholder', 'call_module', 'output']
    """
    try:
        return _Tracer(coarse=False).trace(model)
    except Exception:  # whatever a forward pass raises when it meets a stand-in for a tensor
        return _trace_coarsely(model)


def _trace_coarsely(model: nn.Module) -> fx.Graph:
    try:
        return _Tracer(coarse=True).trace(model)
    except Exception as error:
        mend = f"convert the parts of the model that can be ({type(error).__name__}: {error})"
        raise DropkitError("model", "can be traced by torch.fx", type(model).__name__, mend) from error


def _tensors(model: nn.Module) -> Iterator[torch.Tensor]:
    """Parameters, buffers, and weights computed by hooks, which no copy may be made of."""
    yield from itertools.chain(model.parameters(), model.buffers())
    for module in model.modules():
        yield from (value for value in vars(module).values() if isinstance(value, torch.Tensor))
