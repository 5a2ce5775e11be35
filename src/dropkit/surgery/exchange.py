"""Dropkit's dropout in a model that exists already: every source of dropout for its twin."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from dropkit.core.check import check_kind
from dropkit.torch.layers import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    DropPath,
    FeatureAlphaDropout,
)
from dropkit.torch.multihead import MultiheadAttention
from dropkit.torch.recurrent import DropGRU, DropLSTM, DropRNN
from dropkit.torch.stochastic import Stochastic, taken_over
from dropkit.torch.transformer_layers import TransformerDecoderLayer, TransformerEncoderLayer

__all__ = ["Exchanged", "Kept", "Swap", "use_dropkit"]


@dataclass(frozen=True)
class Swap:
    """One module that took the place of another."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Kept:
    """One source of dropout that stays as it is, and why."""

    name: str
    module: str
    reason: str


@dataclass
class Exchanged:
    """A model whose dropout is dropkit's.

    Args:
        swaps: what was changed in it.
        kept: what drops and could not be changed.
    """

    swaps: tuple[Swap, ...]
    kept: tuple[Kept, ...]
    _root: nn.ModuleDict = field(repr=False)
    _back: list[tuple[nn.Module, str, nn.Module]] = field(repr=False)

    @property
    def model(self) -> nn.Module:
        """The model."""
        return self._root["model"]

    def undo(self) -> nn.Module:
        """Put the modules back that were there, with the weights of now, and return the model."""
        while self._back:  # the last first: a shared module stands in several places
            parent, name, old = self._back.pop()
            old.training = parent._modules[name].training  # type: ignore[union-attr]  # it is there
            parent._modules[name] = old
        return self.model


def use_dropkit(model: nn.Module, *, inplace: bool = False) -> Exchanged:
    """Exchange every dropout of a model for dropkit's, with the same rates.

    torch's dropout layers, `nn.MultiheadAttention` and the ones inside `nn.TransformerEncoderLayer` and
    `nn.TransformerDecoderLayer`, the dropout between the layers of `nn.LSTM`, `nn.GRU` and `nn.RNN`, and
    stochastic depth of timm and torchvision. Parameters stay the very same objects under the same names, so
    optimizers and checkpoints go on, and outputs in eval stay the same bit for bit.

    Args:
        model: any module.
        inplace: change the model itself and not a deep copy. A model that is one layer of a transformer
            then keeps its class, and its parts change.

    Returns:
        the model, what was changed and what could not be; `undo()` puts all back.

    >>> from torch import nn
    >>> changed = use_dropkit(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)))
    >>> changed.swaps
    (Swap(name='1', before='Dropout(p=0.1, inplace=False)', after='Dropout(p=0.1, inplace=False)'),)
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    root = nn.ModuleDict({"model": model if inplace else _copy(model)})
    swaps, kept, back = [], [], []
    made: dict[int, nn.Module] = {}
    seen: set[int] = set()

    # A module that is exchanged hands its children on, so they are looked at in their new place.
    def exchange(parent: nn.Module, path: str) -> None:
        for name, old in list(parent._modules.items()):
            if old is None or (id(old) in seen and id(old) not in made):
                continue
            seen.add(id(old))
            at = f"{path}.{name}".removeprefix(".model").removeprefix(".")
            known, why = id(old) in made, _reason(old)
            if why:
                kept.append(Kept(at, type(old).__name__, why))
            elif _drops(old) and not (inplace and parent is root and type(old) in _BLOCKS):
                new = made.setdefault(id(old), _twin(old))
                parent._modules[name] = new
                back.append((parent, name, old))
                swaps.append(Swap(at, _line(old), _line(new)))
            if not known:
                exchange(made.get(id(old), old), f"{path}.{name}")

    exchange(root, "")
    return Exchanged(tuple(swaps), tuple(kept), root, back)


def _copy(model: nn.Module) -> nn.Module:
    other = copy.deepcopy(model)
    for module in other.modules():
        # torch puts ReLU before an activation that is a module when it copies this one.
        if isinstance(module, nn.TransformerDecoderLayer) and "activation" in module._modules:
            module.__dict__.pop("activation", None)
    return other


_LAYERS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    nn.Dropout: lambda old: Dropout(old.p, old.inplace),
    nn.Dropout1d: lambda old: Dropout1d(old.p, old.inplace),
    nn.Dropout2d: lambda old: Dropout2d(old.p, old.inplace),
    nn.Dropout3d: lambda old: Dropout3d(old.p, old.inplace),
    # torch's own alpha dropout says that it works in place and does not.
    nn.AlphaDropout: lambda old: AlphaDropout(old.p),
    nn.FeatureAlphaDropout: lambda old: FeatureAlphaDropout(old.p),
}
_RECURRENT: dict[type[nn.Module], type[Any]] = {nn.LSTM: DropLSTM, nn.GRU: DropGRU, nn.RNN: DropRNN}
_BLOCKS: dict[type[nn.Module], type[Any]] = {
    nn.TransformerEncoderLayer: TransformerEncoderLayer,
    nn.TransformerDecoderLayer: TransformerDecoderLayer,
}
_TAKEN_OVER: dict[type[nn.Module], type[Any]] = {
    nn.MultiheadAttention: MultiheadAttention,
    **_RECURRENT,
    **_BLOCKS,
}
# By name: who has a model of theirs has the package, and this needs neither.
_FOREIGN: dict[tuple[str, str], Callable[[Any], nn.Module]] = {
    ("timm", "DropPath"): lambda old: DropPath(old.drop_prob or 0.0, scale_by_keep=old.scale_by_keep),
    ("torchvision", "StochasticDepth"): lambda old: DropPath(
        old.p, per="batch" if old.mode == "batch" else "sample"
    ),
}


def _foreign(module: nn.Module) -> Callable[[Any], nn.Module] | None:
    kind = type(module)
    return _FOREIGN.get((kind.__module__.partition(".")[0], kind.__name__))


def _drops(module: nn.Module) -> bool:
    """Whether it is a source of dropout that has a twin."""
    kind = type(module)
    if kind in _LAYERS or _foreign(module):
        return True
    if kind in _BLOCKS:
        return not _hooked(module) and any(_drops(child) for child in module.children())
    if kind is nn.MultiheadAttention:
        return float(module.dropout) > 0  # type: ignore[arg-type]  # a number
    return kind in _RECURRENT and float(module.dropout) > 0 and int(module.num_layers) > 1  # type: ignore[arg-type]  # numbers


def _reason(module: nn.Module) -> str:
    """Say why a source of dropout cannot be exchanged; nothing where it can, or is none."""
    if isinstance(module, Stochastic):
        return ""
    if _drops(module):
        return "has hooks, which would be lost" if _hooked(module) else ""
    if isinstance(module, _DropoutNd):
        return "is a class of its own: replace it by hand"
    if not type(module).__module__.startswith("torch.") and _calls(module):
        return "calls functions: use dropkit.torch.replace_functional() around its calls"
    return ""


def _hooked(module: nn.Module) -> bool:
    return any((module._forward_hooks, module._forward_pre_hooks, module._backward_hooks))


def _calls(module: nn.Module) -> bool:
    try:
        text = inspect.getsource(type(module))
    except (OSError, TypeError):
        return False
    return "functional.dropout" in text or "F.dropout" in text or "dropout_p=" in text


def _twin(old: nn.Module) -> nn.Module:
    make = _LAYERS.get(type(old)) or _foreign(old)
    if make:
        return make(old).train(old.training)
    kind = _TAKEN_OVER[type(old)]
    new: Any = taken_over(old, kind)
    if isinstance(new, MultiheadAttention):
        new.adopt()
    elif type(old) in _RECURRENT:
        new.take_over(float(new.dropout))
    return new  # type: ignore[no-any-return]  # a module of that class


def _line(module: nn.Module) -> str:
    return repr(module) if not list(module.children()) else f"{type(module).__name__}(...)"
