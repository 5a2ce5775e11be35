"""What follows a layer: the linear maps to which a factor on its output can be handed over exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import NoReturn

import torch
from torch import fx, nn

from dropkit.core.check import DropkitError
from dropkit.surgery.homogeneous import LINEAR, overwrites, passes, reads_shape, takes
from dropkit.surgery.trace import trace, twin
from dropkit.torch.stochastic import Stochastic

__all__ = ["Follower"]


class Follower:
    """Finds the linear maps behind a layer of a model, by tracing its forward pass with torch.fx.

    The pass is traced in training and in eval, with every argument given. The model itself stays untouched.

    Args:
        model: the model.

    >>> model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2))
    >>> Follower(model).linears("1")
    ('3',)
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = twin(model)

    def linears(self, name: str) -> tuple[str, ...]:
        """Return the names of the linear maps to which a factor on the output of a layer can be handed over.

        Each stands as often as the factor reaches it. On the way only what obeys f(c x) = c f(x) for c > 0 is
        passed: reshaping, ReLU and leaky ReLU, pooling by mean and maximum, dropout to zero.

        Args:
            name: the layer's name, as in `model.named_modules()`.

        Raises:
            DropkitError: something else follows, the layer's output leaves the model or is nowhere found, a
                weight is tied or computed, or the model cannot be traced.
        """
        train, evaluation = (self._walks(graph, name) for graph in self._graphs)
        if train != evaluation:
            found = f"{sorted(train)} and {sorted(evaluation)}"
            _refuse(f"follows {name!r} by the same linear maps in training and in eval", found)
        return tuple(train.elements())

    @cached_property
    def _graphs(self) -> tuple[fx.Graph, fx.Graph]:
        return trace(self._model.train()), trace(self._model.eval())

    def _walks(self, graph: fx.Graph, name: str) -> Counter[str]:
        layer = self._model.get_submodule(name)
        calls = [node for node in graph.nodes if _module(self._model, node) is layer]
        if not calls:
            _refuse(
                f"calls {name!r} in its forward pass, in training and in eval", type(self._model).__name__
            )
        return Counter(linear for call in calls for linear in _Walk(self._model, graph, call, name).sinks())


class _Walk:
    """The way of one tensor from one call of a layer to the linear maps that take it."""

    def __init__(self, model: nn.Module, graph: fx.Graph, call: fx.Node, name: str) -> None:
        self.model, self.graph, self.call, self.name = model, graph, call, name

    def sinks(self) -> Iterator[str]:
        self._check_call()
        pending = [self.call]
        while pending:
            source = pending.pop()
            for user in source.users:
                if reads_shape(user):
                    continue
                if self._is_linear(user, source):
                    yield str(user.target)
                else:
                    self._check_passes(user, source)
                    pending.append(user)

    def _check_call(self) -> None:
        module = _module(self.model, self.call)
        if len(self.call.args) != 1 or self.call.kwargs.keys() - {"key", "generator", "window"}:
            _refuse(f"gives {self.name!r} one tensor, and nothing that it protects or fills in", self.call)
        self._check_hooks(module)
        if overwrites(self.call, module):
            self._check_alias()

    def _is_linear(self, user: fx.Node, source: fx.Node) -> bool:
        module = _module(self.model, user)
        if not isinstance(module, LINEAR) or not takes(user, source):
            return False
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if weight is None:
            _refuse(f"has plain weights behind {self.name!r}", self._words(user))
        if type(module) not in LINEAR:
            return False
        self._check_hooks(module)
        self._check_alone(user, module, weight)
        return True

    def _check_alone(self, user: fx.Node, module: nn.Module, weight: torch.Tensor) -> None:
        calls = [node for node in self.graph.nodes if _module(self.model, node) is module]
        if len(calls) > 1:
            _refuse(f"calls what follows {self.name!r} once", self._words(user))
        if list(_held(self.model, self.graph)).count(_memory(weight)) > 1:
            _refuse(f"ties no weight behind {self.name!r} to another", self._words(user))

    def _check_passes(self, user: fx.Node, source: fx.Node) -> None:
        module = _module(self.model, user)
        if not (takes(user, source) and passes(user, module)):
            _refuse(f"has nothing but linear maps behind {self.name!r}", self._words(user))
        self._check_hooks(module)
        if overwrites(user, module):
            self._check_alias()

    def _check_hooks(self, module: nn.Module | None) -> None:
        own = isinstance(module, Stochastic) and module.has_own_hook
        if module is not None and len(module._forward_hooks) + len(module._forward_pre_hooks) > own:
            _refuse(f"has no hooks at {self.name!r} and what follows it", type(module).__name__)

    def _check_alias(self) -> None:
        """In eval an inverted dropout returns its very input: who overwrites it must be its only reader."""
        source = self.call.args[0]
        while isinstance(source, fx.Node):
            if sum(not reads_shape(user) for user in source.users) > 1:
                _refuse(f"overwrites nothing at {self.name!r} that others read", self._words(source))
            further = source.args and passes(source, _module(self.model, source))
            source = source.args[0] if further else None

    def _words(self, node: fx.Node) -> str:
        module = _module(self.model, node)
        if node.op == "output":
            return "the output of the model"
        return f"{type(module).__name__} {node.target}" if module else f"{node.op} {node.name}"


def _module(model: nn.Module, node: fx.Node) -> nn.Module | None:
    return model.get_submodule(str(node.target)) if node.op == "call_module" else None


def _held(model: nn.Module, graph: fx.Graph) -> Iterator[int]:
    """Return the memory of each weight, once for each place that holds it or reads it by itself."""
    yield from (_memory(tensor) for _, tensor in model.named_parameters(remove_duplicate=False))
    for node in graph.nodes:
        if node.op == "get_attr":
            owner, _, name = str(node.target).rpartition(".")
            yield _memory(getattr(model.get_submodule(owner), name))


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _refuse(rule: str, found: object) -> NoReturn:
    raise DropkitError("model", rule, found, "leave that dropout as it is: name the others in `only`")
