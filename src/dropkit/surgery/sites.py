"""Where dropout can go in a model: its input, its words, its hidden activations, its residual branches.

What counts is one forward pass in eval mode: what runs, not what is written. Branches come from a trace by
torch.fx, so a model that cannot be traced has none.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import fx, nn

from dropkit.core.check import DropkitError, check_kind, suggest
from dropkit.core.method import Method
from dropkit.surgery.activation import ends_in_activation, is_activation
from dropkit.surgery.trace import trace, twin

__all__ = ["Place", "Site", "find_sites", "fits", "put", "take_out"]

_SUMS = (operator.add, operator.iadd, torch.add)


Place = Literal["input", "activation", "branch", "token"]


@dataclass(frozen=True)
class Site:
    """One tensor of a model that dropout can hit.

    Args:
        place: `"input"`, `"activation"` (what a hidden activation gives), `"branch"` (what a residual branch
            gives, before it is added) or `"token"` (what an embedding gives for the words of the input).
        name: the module that gives it, as in `model.named_modules()`; `""` for the input.
        shape: its shape for one sample.
        kind: the class of that module.
    """

    place: Place
    name: str
    shape: tuple[int, ...]
    kind: str = ""


class _Call(NamedTuple):
    name: str
    module: nn.Module
    shape: tuple[int, ...]
    words: bool


def find_sites(model: nn.Module, sample: torch.Tensor) -> tuple[Site, ...]:
    """Return the sites of a model in the order in which a forward pass reaches them.

    An activation is hidden where it runs between two layers with parameters and never behind the last one.
    One that runs in several places is one site: what is put there acts at all of them.

    Args:
        model: the model; it is left as it was.
        sample: a batch that it takes.

    Raises:
        DropkitError: the model is no module; what its forward pass raises comes through.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2), nn.Softplus())
    >>> [(site.place, site.name, site.shape) for site in find_sites(model, torch.ones(1, 4))]
    [('input', '', (4,)), ('activation', '1', (8,))]
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    calls = _calls(model, sample)
    hidden, ends = _hidden(calls), _branch_ends(model)
    found = [Site("input", "", tuple(sample.shape[1:]))]
    for call in calls:
        found += [_site("activation", call)] if call.name in hidden else []
        found += [_site("branch", call)] if call.name in ends else []
        found += [_site("token", call)] if call.words else []
    return tuple(dict.fromkeys(found))


def fits(method: Method, site: Site) -> bool:
    """Return whether a method is meant for such a tensor: by the place in its record, and by its axes.

    Alpha noise keeps mean and variance behind SELU alone.

    >>> from dropkit.methods import catalogue
    >>> image = Site("activation", "1", (8, 4, 4), "ReLU")
    >>> [name for name, method in catalogue().items() if method.study and fits(method, image)]
    ['drop_block', 'dropout', 'gaussian_dropout', 'spatial_dropout', 'uniform_dropout']
    """
    if method.describe is None or method.site != site.place:
        return False
    axes = method.every_entry or site.place == "branch" or len(method.example.shape) == 1 + len(site.shape)
    return axes and (site.kind == "SELU" or method.drop().noise.name != "alpha")


def put(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer behind a module of a model, in place.

    The module keeps its class, its name and its parameters; the layer becomes a child of it, named
    `dropkit_drop`, so that `train()`, `to()` and `dropkit.mode` reach it.

    Args:
        model: the model.
        name: of the module, as in a `Site`. Before the input nothing can be put in place: wrap the model, as
            in `nn.Sequential(layer, model)`.
        layer: takes what the module gives, and gives a tensor of that shape.

    Raises:
        DropkitError: the model has no such module, it is an `nn.Sequential`, which would call the child too,
            or it has a layer already.

    >>> from dropkit.torch import Dropout
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> put(model, "1", Dropout(0.5))
    >>> model[1]
    ReLU(
      (dropkit_drop): Dropout(p=0.5, inplace=False)
    )
    """
    modules = {name: module for name, module in model.named_modules() if name}
    if name not in modules:
        raise DropkitError("name", "is that of a module of the model", name, suggest(name, modules))
    if _CHILD in dict(modules[name].named_children()):
        mend = "put one layer there, e.g. an nn.Sequential of two"
        raise DropkitError("name", "is that of a module with no layer behind it yet", name, mend)
    if isinstance(modules[name], nn.Sequential):
        raise DropkitError("name", "is that of no container", name, "name the last module in it")
    modules[name].add_module(_CHILD, layer)
    modules[name].register_forward_hook(_drop_output)


def take_out(model: nn.Module, name: str) -> nn.Module:
    """Take the layer behind a module away again and return it: the model is as it was before `put`.

    Args:
        model: the model, or a copy of it.
        name: of the module.

    Raises:
        DropkitError: no layer was put there.

    >>> from dropkit.torch import Dropout
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> put(model, "1", Dropout(0.5))
    >>> take_out(model, "1")
    Dropout(p=0.5, inplace=False)
    >>> model[1]
    ReLU()
    """
    held = {name: module for name, module in model.named_modules() if _CHILD in module._modules}
    if name not in held:
        rule = "is that of a module with a layer behind it"
        raise DropkitError("name", rule, name, suggest(name, held, "none has one"))
    layer: nn.Module = held[name].get_submodule(_CHILD)
    delattr(held[name], _CHILD)
    # By the function and not by a handle: a copy of the model has the hook, and no handle for it.
    hooks = held[name]._forward_hooks
    for number in [number for number, hook in hooks.items() if hook is _drop_output]:
        del hooks[number]
    return layer


_CHILD = "dropkit_drop"


def _drop_output(module: nn.Module, _inputs: Any, output: torch.Tensor) -> Any:
    return module.get_submodule(_CHILD)(output)


def _site(place: Place, call: _Call) -> Site:
    return Site(place, call.name, call.shape, type(call.module).__name__)


def _calls(model: nn.Module, sample: torch.Tensor) -> list[_Call]:
    """Return the calls of all modules but the model itself, in the order in which they end."""
    calls: list[_Call] = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                words = isinstance(module, nn.Embedding) and _are_same(inputs, sample)
                calls.append(_Call(name, module, tuple(output.shape[1:]), words))

        return hook

    named = [(name, module) for name, module in model.named_modules() if name]
    handles = [module.register_forward_hook(note(name)) for name, module in named]
    training = {module: module.training for module in model.modules()}
    fast = torch.backends.mha.get_fastpath_enabled()
    # With padding the fast path of nn.TransformerEncoder packs rows into nested tensors, which have no shape.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            model.eval()(sample)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in training.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    return calls


def _are_same(inputs: Sequence[Any], sample: torch.Tensor) -> bool:
    """Whether a module got the model's own input, perhaps as a view or a copy, and not e.g. positions."""
    given = inputs[0] if inputs else None
    return isinstance(given, torch.Tensor) and given.dtype == sample.dtype and torch.equal(given, sample)


def _hidden(calls: list[_Call]) -> set[str]:
    """Return the activations that never run before the first or behind the last layer with parameters."""
    layers = [at for at, call in enumerate(calls) if _learns(call.module)]
    first, last = (layers[0], layers[-1]) if layers else (0, 0)
    # What a layer ends in runs behind the layer.
    places = [(at + ends_in_activation(call.module) / 2, call) for at, call in enumerate(calls)]
    outside = {call.name for at, call in places if not first < at < last}
    return {call.name for call in calls if is_activation(call.module)} - outside


def _learns(module: nn.Module) -> bool:
    """Whether it is a layer with parameters, and no activation or container."""
    # What computes its weights, such as weight_norm, is a child too, and so is where Keras keeps them.
    parts = [name for name, _ in module.named_children() if name not in ("parametrizations", "_torch_params")]
    bare = not is_activation(module) or ends_in_activation(module)
    return not parts and bare and any(True for _ in module.parameters())


def _branch_ends(model: nn.Module) -> set[str]:
    """Return the modules whose output is added to a tensor that the branch began with."""
    try:
        graph = trace(twin(model).eval())
    except DropkitError:
        return set()
    ends = (_branch_end(node) for node in graph.nodes if _is_sum(node))
    return {end for end in ends if end}


def _is_sum(node: fx.Node) -> bool:
    called = node.op == "call_function" and node.target in _SUMS
    method = node.op == "call_method" and node.target in ("add", "add_")
    return (called or method) and all(isinstance(part, fx.Node) for part in node.args[:2])


def _branch_end(total: fx.Node) -> str | None:
    """Return the module at the end of the deeper of the two ways to a sum, if they have a common root."""
    one, other = (part for part in total.args[:2] if isinstance(part, fx.Node))
    depths = _depths(one), _depths(other)
    shared = depths[0].keys() & depths[1].keys()
    if not shared:
        return None
    ways = [min(found[node] for node in shared) for found in depths]
    if ways[0] == ways[1]:
        return None  # two branches and no shortcut: neither can be left out
    end = one if ways[0] > ways[1] else other
    return str(end.target) if end.op == "call_module" else None


def _depths(end: fx.Node) -> dict[fx.Node, int]:
    """Return every node that leads to one, with the number of learning steps between."""
    depths, wave, depth = {end: 0}, [end], 0
    while wave:
        depth += 1
        wave = [node for node in _inputs(wave) if node not in depths]
        depths |= dict.fromkeys(wave, depth)
    return depths


def _inputs(nodes: Iterable[fx.Node]) -> Iterator[fx.Node]:
    return (source for node in nodes for source in node.all_input_nodes)
