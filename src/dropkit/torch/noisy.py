"""Weights that are noisy in a pass: the module keeps its own and computes with others while a call lasts.

What is drawn never enters the module's state: a state_dict, a copy or an optimizer sees the weights alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Unpack

import torch
from torch import nn
from torch.func import functional_call

from dropkit.core.check import DropkitError, check_kind, check_names
from dropkit.core.mode import Mode
from dropkit.torch.delegate import Delegate
from dropkit.torch.draws import fold
from dropkit.torch.functional import Source
from dropkit.torch.stochastic import Stochastic

__all__ = [
    "LINEAR",
    "NoisyWeights",
    "Wrapper",
    "call_with",
    "check_weight",
    "unwrap_weights",
    "wrap_weights",
]

Tensor = torch.Tensor

LINEAR = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
"""Modules that are linear in their weight."""


class Wrapper(Delegate, Stochastic):
    """What stands around one module and computes with it: `wrap_weights` puts it there, and it can go again.

    Attributes that a wrapper has not are those of the module, e.g. `in_features`. Its weights are called
    `module.weight` in a state_dict: load that of a plain layer before wrapping, or unwrap first.

    Args:
        module: the module; it keeps its weights, its options and its hooks.
        kinds: the classes that it may have.
        mend: what to do with a module of another class.

    Raises:
        DropkitError: the module is of another class, or there is a wrapper around it or inside of it already.
    """

    inside = "module"
    module: Any

    def __init__(
        self,
        module: nn.Module,
        kinds: tuple[type[nn.Module], ...] = (nn.Module,),
        mend: str = "give the module whose weights shall be noisy",
    ) -> None:
        super().__init__()
        if not isinstance(module, kinds):
            names = ", ".join(f"nn.{kind.__name__}" for kind in kinds)
            raise DropkitError("module", f"is one of {names}", type(module).__name__, mend)
        if any(isinstance(part, Wrapper) for part in module.modules()):
            rule = "has no wrapper of its weights yet"
            raise DropkitError("module", rule, type(module).__name__, "wrap each layer once")
        self.module = module


class NoisyWeights(Wrapper):
    """A module that computes with noisy weights in each pass that draws, and as it is in every other pass.

    The module stands under `module`, the layer that makes the noise under `noise`.

    Args:
        module: the module; it keeps its weights, its options and its hooks.
        noise: the layer that makes of a weight what it is in this pass.
        names: which of the parameters are noisy.

    Raises:
        DropkitError: the module has no parameter of such a name, or it holds noisy weights already.

    >>> from dropkit.torch import Dropout
    >>> layer = NoisyWeights(nn.Linear(3, 2), Dropout(0.5))
    >>> layer.in_features, sorted(layer.state_dict())
    (3, ['module.bias', 'module.weight'])
    """

    noise: Any

    def __init__(self, module: nn.Module, noise: Stochastic, names: Iterable[str] = ("weight",)) -> None:
        super().__init__(module)
        self.names = tuple(check_names("names", names, _parameters(module)))
        self.noise = noise

    @property
    def drawing(self) -> bool:
        """Whether the next call draws."""
        return bool(self.noise.drawing)

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything."""
        return bool(self.noise.can_draw)

    @property
    def p(self) -> float:
        """The probability that the noise drops, now; set anew, it is that of the noise."""
        return float(self.noise.p)

    @p.setter
    def p(self, p: Any) -> None:
        self.noise.p = p

    def rate_layer(self) -> Stochastic | None:
        """Return what holds the rate: the noise."""
        held: Stochastic | None = self.noise.rate_layer()
        return held

    def force(self, mode: Mode | None) -> None:
        """Draw or do not draw whatever `train()` and `eval()` say; None follows them again."""
        super().force(mode)
        self.noise.force(mode)

    def weights(self, **source: Unpack[Source]) -> dict[str, Tensor]:
        """Return the weights of one pass by name.

        One weight is drawn under the key itself, several are drawn under `key.fold(name)`.

        Args:
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.
        """
        source, several = self.source(source), len(self.names) > 1
        own = dict(self.module.named_parameters())
        return {
            name: self.weight_of(name, own[name], **(fold(name, source) if several else source))
            for name in self.names
        }

    def weight_of(self, name: str, weight: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return what a weight is in a pass: in one that does not draw the very weight."""
        noisy: Tensor = self.noise(weight, **source)
        return noisy

    def forward(
        self, *args: Any, key: Any = None, generator: torch.Generator | None = None, **kwargs: Any
    ) -> Any:
        """Call the module with the weights of this pass.

        Args:
            *args: what the module takes, `**kwargs` likewise.
            key: the address of the draws.
            generator: where the key is taken from, where none is given.
        """
        return call_with(self.module, self.weights(**_given(key, generator)), args, kwargs)

    def extra_repr(self) -> str:
        """Show which weights are noisy."""
        return f"names={self.names}"


def check_weight(argument: str, module: nn.Module) -> None:
    """Refuse a layer whose weight follows from other parameters: who puts another there would cut them off.

    That is what weight normalisation and spectral normalisation do, both as parametrizations and as hooks.
    """
    if "weight" not in dict(module.named_parameters(recurse=False)):
        mend = (
            "normalise no weights of this layer, or call torch.nn.utils.parametrize.remove_parametrizations"
        )
        raise DropkitError(argument, "has its weight as a parameter", type(module).__name__, mend)


def call_with(
    module: nn.Module, weights: Mapping[str, Tensor], args: tuple[Any, ...] = (), kwargs: Any = None
) -> Any:
    """Call a module with other tensors in the place of some parameters, as long as the call lasts.

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> call_with(layer, {"weight": torch.tensor([[1.0, 2.0]])}, (torch.ones(2),)).tolist()
    [3.0]
    """
    own = dict(module.named_parameters())
    others = {name: weight for name, weight in weights.items() if weight is not own.get(name)}
    if not others:
        return module(*args, **(kwargs or {}))
    if isinstance(module, nn.RNNBase):
        return _call_recurrent(module, others, args, kwargs or {})
    return functional_call(module, others, args, kwargs)


def _call_recurrent(module: nn.RNNBase, others: dict[str, Tensor], args: Any, kwargs: Any) -> Any:
    # torch's recurrent modules compute with a list of their own and do not see what functional_call swaps.
    own = module._flat_weights
    names = module._flat_weights_names
    module._flat_weights = [others.get(name, weight) for name, weight in zip(names, own, strict=True)]
    try:
        with warnings.catch_warnings():
            # cuDNN copies them into one piece at each call, as it must: they are new each time.
            warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous")
            return module(*args, **kwargs)
    finally:
        module._flat_weights = own


def wrap_weights(
    model: nn.Module,
    make: Callable[[Any], Wrapper],
    kinds: tuple[type[nn.Module], ...] = LINEAR,
    skip: Iterable[str] = (),
) -> int:
    """Put a wrapper around each of the layers of a model, in place; `unwrap_weights` takes them off again.

    The layers themselves stay: trained weights, stride, groups, padding, bias, hooks and the optimizer's hold
    on them. A layer that stands in several places is wrapped once. Subclasses of `kinds` are left alone: they
    may use their weight without being called, as the output projection of `nn.MultiheadAttention` does.

    Names in the state_dict change: `0.weight` becomes `0.module.weight`. Load the state_dict of a plain model
    before wrapping, and call `unwrap_weights` before saving one for a plain model.

    Args:
        model: a module with layers of these kinds inside.
        make: makes the wrapper of one layer, e.g. `lambda layer: DropConnect(layer, 0.1)`, or one of
            `SparseVariationalDropout`, `LoRALinear` and the other classes that stand around a layer.
        kinds: the classes of layers that are wrapped.
        skip: names of submodules that are left alone with all they hold, e.g. `["head"]`.

    Returns:
        the number of layers that were wrapped.

    Raises:
        DropkitError: `skip` names nothing, or no layer is left to be wrapped. Nothing is changed then.

    >>> from dropkit.torch import DropConnect, unwrap_weights, wrap_weights
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.ReLU())
    >>> wrap_weights(model, lambda layer: DropConnect(layer, 0.1))
    1
    >>> unwrap_weights(model)
    1
    >>> model[0]
    Conv2d(3, 8, kernel_size=(3, 3), stride=(2, 2), bias=False)
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    left_alone = _inside(model, skip)
    places = [
        (parent, name, layer)
        for parent, name, layer in _places(model)
        if type(layer) in kinds and id(layer) not in left_alone and not isinstance(parent, Wrapper)
    ]
    if not places:
        mend = "name other kinds; a layer that is no part of a model is wrapped by hand"
        raise DropkitError("model", "holds layers of the given kinds", type(model).__name__, mend)
    made = {id(layer): layer for _, _, layer in places}
    wrappers = {number: make(layer).train(layer.training) for number, layer in made.items()}
    for parent, name, layer in places:
        parent._modules[name] = wrappers[id(layer)]
    return len(wrappers)


def unwrap_weights(model: nn.Module) -> int:
    """Take the wrappers off the layers of a model, in place: every layer is back under its own name.

    A layer comes back as it is now: with the weights that it was trained to, without what its wrapper learned
    beside them; prune or merge before, where the wrapper can.

    Args:
        model: a module; one that is a wrapper itself is not inside of anything, take its `.module`.

    Returns:
        the number of layers that were unwrapped, 0 where there were none.
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    found = [place for place in _places(model) if isinstance(place[2], Wrapper)]
    for parent, name, wrapper in found:
        parent._modules[name] = wrapper.module
    return len({id(wrapper) for _, _, wrapper in found})


def _places(model: nn.Module) -> list[tuple[nn.Module, str, Any]]:
    return [(parent, name, child) for parent in model.modules() for name, child in parent._modules.items()]


def _inside(model: nn.Module, skip: Iterable[str]) -> set[int]:
    modules = dict(model.named_modules(remove_duplicate=False))
    chosen = check_names("skip", skip, modules)
    return {id(part) for name in chosen for part in modules[name].modules()}


def _parameters(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def _given(key: Any, generator: torch.Generator | None) -> Source:
    source: Source = {}
    if key is not None:
        source["key"] = key
    if generator is not None:
        source["generator"] = generator
    return source
