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
from dropkit.torch.stochastic import Stochastic

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
            old.train(parent._modules[name].training)  # type: ignore[union-attr]  # it is there
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
        inplace: change the model itself and not a deep copy.

    Returns:
        the model, what was changed and what could not be; `undo()` puts all back.

    >>> from torch import nn
    >>> changed = use_dropkit(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.1)))
    >>> changed.swaps
    (Swap(name='1', before='Dropout(p=0.1, inplace=False)', after='Dropout(p=0.1, inplace=False)'),)
    """
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    root = nn.ModuleDict({"model": model if inplace else copy.deepcopy(model)})
    swaps, kept, back = [], [], []
    made: dict[int, nn.Module] = {}
    # Parents come first, so a module that is exchanged hands its children on.
    for path, parent in list(root.named_modules(remove_duplicate=True)):
        for name, old in list(parent.named_children()):
            at = f"{path}.{name}".strip(".").removeprefix("model").strip(".")
            why = _reason(old)
            if why:
                kept.append(Kept(at, type(old).__name__, why))
            if why or not _drops(old):
                continue
            new = made.setdefault(id(old), _twin(old))
            parent._modules[name] = new
            back.append((parent, name, old))
            swaps.append(Swap(at, _line(old), _line(new)))
    return Exchanged(tuple(swaps), tuple(kept), root, back)


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
    if kind is nn.MultiheadAttention:
        return float(module.dropout) > 0  # type: ignore[arg-type]  # a number
    return kind in _RECURRENT and float(module.dropout) > 0 and int(module.num_layers) > 1  # type: ignore[arg-type]  # numbers


def _reason(module: nn.Module) -> str:
    """Say why a source of dropout cannot be exchanged; nothing where it can, or is none."""
    if isinstance(module, Stochastic):
        return ""
    if _drops(module):
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        return "has hooks, which would be lost" if any(hooks) else ""
    if isinstance(module, _DropoutNd):
        return "is a class of its own: replace it by hand"
    if not type(module).__module__.startswith("torch.") and _calls(module):
        return "calls functions: use dropkit.torch.replace_functional() around its calls"
    return ""


def _calls(module: nn.Module) -> bool:
    try:
        text = inspect.getsource(type(module).forward)
    except (OSError, TypeError):
        return False
    return "functional.dropout" in text or "F.dropout" in text or "dropout_p=" in text


def _twin(old: nn.Module) -> nn.Module:
    make = _LAYERS.get(type(old)) or _foreign(old)
    if make:
        return make(old).train(old.training)
    kind: Any = _RECURRENT.get(type(old), MultiheadAttention)
    new = kind.__new__(kind)
    # The parameters lie in the same table, for either of the two; children and hooks in tables of its own.
    shared = ("_parameters", "_buffers")
    new.__dict__ = {
        name: copy.copy(value) if isinstance(value, dict) and name not in shared else value
        for name, value in vars(old).items()
    }
    if kind is MultiheadAttention:
        new.adopt()
    else:
        new.take_over(float(new.dropout))
    return new  # type: ignore[no-any-return]  # one of the three


def _line(module: nn.Module) -> str:
    return repr(module) if not list(module.children()) else f"{type(module).__name__}(...)"
