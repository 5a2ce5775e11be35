"""Torch layers as subjects of the contract."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch

import dropkit
from dropkit.core import address
from dropkit.core.bind import Window
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Method
from dropkit.core.mode import Mode
from dropkit.core.schedule import Schedule
from dropkit.testing.declared import Declared, Shapes, shapes_for
from dropkit.testing.subject import Built, Subject
from dropkit.torch import Drop as DropLayer
from dropkit.torch.layer import Layer
from dropkit.torch.mode import sources
from dropkit.torch.stochastic import Stochastic

__all__ = ["layer_subject", "method_subject", "module_subject", "torch_subject"]

Array = np.ndarray[Any, Any]
Call = Callable[..., torch.Tensor]
_WHOLE_ARRAY = Window()


def torch_subject(drop: Callable[[Any], Drop], name: str = "torch") -> Subject:
    """Return a description carried by `dropkit.torch.Drop` as a subject.

    >>> torch_subject(lambda rate: Drop(rate, "b t -> b")).at(0.5).forward(np.ones((2, 3)), Key(0))
    array([[2., 2., 2.],
           [0., 0., 0.]])
    """
    return layer_subject(lambda rate: DropLayer(drop(rate)), name)


def layer_subject(
    make: Callable[[Any], Any],
    name: str,
    call: Call | None = None,
    shapes: Shapes | None = None,
    declare: Callable[[float, tuple[int, ...]], Declared] | None = None,
    **facts: Any,
) -> Subject:
    """Return a dropkit layer as a subject.

    Args:
        make: makes the layer at a rate, or with a schedule.
        name: what reports call it.
        call: runs the layer on a tensor, for layers that take more than one: `call(layer, x, key=...,
            window=...)`.
        shapes: shapes to examine it at; by default they follow from the layer's description.
        declare: what the layer is to do, where it is a `Stochastic` that no `Drop` describes; `shapes` are
            given then, and neither windows nor schedules are asked for.
        **facts: further fields of `Subject`.
    """
    if declare is not None:
        return _declared_subject(make, name, call, shapes, declare, **facts)

    def drop(rate: Any) -> Drop:
        description: Drop = make(rate).description
        return description

    def described(rate: float, shape: tuple[int, ...]) -> Declared:
        return Declared.of(drop(rate), shape)

    def build(rate: Any, step: int = 0) -> Built:
        layer: Layer = make(rate)
        if isinstance(rate, Schedule):
            layer.move_to(step)
        return _built(layer, call or _plain)

    return Subject(name, build, described, shapes or shapes_for(drop(0.5).groups), drop, **facts)


def _declared_subject(
    make: Callable[[Any], Any],
    name: str,
    call: Call | None,
    shapes: Shapes | None,
    declare: Callable[[float, tuple[int, ...]], Declared],
    **facts: Any,
) -> Subject:
    if shapes is None:
        raise DropkitError("shapes", "are given where declare is", shapes, "write e.g. Shapes((23, 23), ())")

    def run(layer: Any, x: torch.Tensor, *, key: Any, window: Window = _WHOLE_ARRAY) -> torch.Tensor:
        return (call or _plain)(layer, x, key=key)

    def build(rate: Any, step: int = 0) -> Built:
        return _built(make(rate), run)

    known = {"windows": False, "schedules": False, "identity": False, **facts}
    return Subject(name, build, declare, shapes, None, **known)


def module_subject(
    make: Callable[[float], torch.nn.Module],
    name: str,
    describe: str | Callable[[float], Drop] = "...",
    declare: Callable[[float, tuple[int, ...]], Declared] | None = None,
    shapes: Shapes | None = None,
    **facts: Any,
) -> Subject:
    """Return any torch module as a subject: it need not know of dropkit, and draws from torch's generator.

    A key becomes a seed of that generator, inside of `torch.random.fork_rng`. Mode "mc" is `dropkit.mode`
    where the module has a source of dropout that this knows, else `train()` of the module alone.

    Args:
        make: makes the module at a rate.
        name: what reports call it.
        describe: what it is to do: a pattern for Bernoulli noise, or a function from the rate to a `Drop`.
        declare: what it is to do, where no `Drop` says it.
        shapes: shapes to examine it at; by default they follow from the description.
        **facts: further fields of `Subject`.

    Raises:
        DropkitError: the pattern is not one.

    >>> from dropkit.testing import examine
    >>> subject = module_subject(lambda p: torch.nn.Dropout(p), "torch's own")
    >>> examine(subject, traits=["rate", "moments", "gradient"]).passed
    True
    """
    drop: Callable[[float], Drop] = (
        describe if callable(describe) else functools.partial(Drop, groups=describe)
    )
    seeds = _Seeds()

    def build(rate: float, step: int = 0) -> Built:
        return _module_built(make(rate), rate, seeds)

    def declared(rate: float, shape: tuple[int, ...]) -> Declared:
        return Declared.of(drop(rate), shape)

    sizes = shapes or shapes_for(drop(0.5).groups)
    known = {"windows": False, "schedules": False, **facts}
    return Subject(name, build, declare or declared, sizes, **known)


def method_subject(method: Method) -> Subject:
    """Return the torch layer of a method of the catalogue as a subject, with the arguments of its example."""
    kind = getattr(dropkit.torch, method.layers["torch"])
    known = inspect.signature(kind).parameters
    fixed = {name: value for name, value in method.example.arguments.items() if name in known}
    name = f"{method.name} on torch"
    if kind is dropkit.torch.EmbeddingDropout:
        table = torch.nn.Embedding(1, 1)
        facts: dict[str, Any] = {"windows": False, "identity": False, "waived": method.waived}
        return layer_subject(lambda rate: kind(table, rate, **fixed), name, _embed, **facts)
    special = {dropkit.torch.Zoneout: _zoneout}
    return layer_subject(lambda rate: kind(rate, **fixed), name, special.get(kind), waived=method.waived)


def _plain(layer: Any, x: torch.Tensor, **source: Any) -> torch.Tensor:
    y: torch.Tensor = layer(x, **source)
    return y


def _zoneout(layer: Any, x: torch.Tensor, **source: Any) -> torch.Tensor:
    y: torch.Tensor = layer(x, torch.zeros_like(x), **source)
    return y


def _embed(layer: Any, x: torch.Tensor, key: Any = None, window: Window = _WHOLE_ARRAY) -> torch.Tensor:
    """The table is what is dropped: every row is looked up once."""
    weight = layer.embedding._parameters.pop("weight")
    try:
        layer.embedding.num_embeddings, layer.embedding.weight = len(x), x
        y: torch.Tensor = layer(torch.arange(len(x)), key=key)
    finally:
        del layer.embedding.weight
        layer.embedding.weight = weight
    return y


def _built(layer: Stochastic, call: Call) -> Built:
    def forward(x: Array, key: Key | None, mode: Mode = "train", window: Window = _WHOLE_ARRAY) -> Array:
        tensor = _tensor(x)
        y = _in_mode(layer, mode, lambda: call(layer, tensor, key=key, window=window))
        return x if y is tensor else _array(y)

    def backward(x: Array, grad: Array, key: Key) -> Array:
        tensor = _tensor(x).requires_grad_()
        (through,) = torch.autograd.grad(call(layer.train(), tensor, key=key), tensor, _tensor(grad))
        return _array(through)

    return Built(forward, backward, lambda: _state(layer))


def _tensor(x: Array) -> torch.Tensor:
    """Return the array as a tensor in the same memory, unless it lies there backwards, as no tensor can.

    Under `with torch.device("cuda"):` it is a copy on the card, and layers are made there.
    """
    tensor = torch.from_numpy(x.copy() if min(x.strides, default=0) < 0 else x)
    return tensor.to(torch.get_default_device())


def _array(tensor: torch.Tensor) -> Array:
    array: Array = tensor.cpu().numpy()
    return array


def _in_mode(layer: Stochastic, mode: Mode, run: Callable[[], torch.Tensor]) -> torch.Tensor:
    layer.train(mode == "train")
    if mode != "mc":
        return run()
    with dropkit.mode(layer, "mc"):
        return run()


def _state(layer: Stochastic) -> Any:
    """Everything that a call could move: buffers, parameters, mode, and torch's generator."""
    return _kept(layer), layer.forced_mode, torch.get_rng_state().numpy().tobytes()


def _kept(module: torch.nn.Module) -> dict[str, bytes]:
    return {name: _array(value).tobytes() for name, value in module.state_dict().items()}


class _Seeds:
    """One seed for each key: torch's CPU generator reads 32 bits, where two keys must not meet by chance."""

    def __init__(self) -> None:
        self._given: dict[Key, int] = {}
        self._taken: set[int] = set()

    def of(self, key: Key) -> int:
        if key not in self._given:
            seed = address.fold_word(key.words) % 2**32
            while seed in self._taken:
                seed = (seed + 1) % 2**32
            self._taken.add(seed)
            self._given[key] = seed
        return self._given[key]

    @contextlib.contextmanager
    def under(self, key: Key | None) -> Iterator[None]:
        """Draw from the seed of a key, and leave the generator as it was; without a key draw on."""
        if key is None:
            yield
            return
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.of(key))
            yield


def _module_built(module: torch.nn.Module, rate: float, seeds: _Seeds) -> Built:
    def forward(x: Array, key: Key | None, mode: Mode = "train", window: Window = _WHOLE_ARRAY) -> Array:
        tensor = _tensor(x)
        with seeds.under(key), _module_mode(module, rate, mode), torch.no_grad():
            y = module(tensor)
        return x if y is tensor else _array(y)

    def backward(x: Array, grad: Array, key: Key) -> Array:
        tensor = _tensor(x).requires_grad_()
        with seeds.under(key), _module_mode(module, rate, "train"):
            (through,) = torch.autograd.grad(module(tensor), tensor, _tensor(grad))
        return _array(through)

    return Built(forward, backward, lambda: (_kept(module), torch.get_rng_state().numpy().tobytes()))


def _module_mode(module: torch.nn.Module, rate: float, mode: Mode) -> AbstractContextManager[None]:
    known = mode == "mc" and rate > 0 and bool(sources(module))
    module.train(mode != "eval" and not known)
    return dropkit.mode(module, "mc") if known else contextlib.nullcontext()
