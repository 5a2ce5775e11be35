"""Move the factor 1 - rate of a trained model between its dropout and the weights behind it."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from dropkit.core.check import DropkitError, check_kind, check_names
from dropkit.core.mode import SCALE, Scale
from dropkit.surgery.follow import Follower
from dropkit.torch.layer import Layer
from dropkit.torch.layers import Dropout, Dropout1d, Dropout2d, Dropout3d, Zoneout
from dropkit.torch.tokens import TokenDropout

__all__ = ["Rescaled", "bake_scale", "convert_scale"]

_TWINS: dict[type[nn.Module], type[Dropout | Dropout1d | Dropout2d | Dropout3d]] = {
    nn.Dropout: Dropout,
    nn.Dropout1d: Dropout1d,
    nn.Dropout2d: Dropout2d,
    nn.Dropout3d: Dropout3d,
}
_Model = TypeVar("_Model", bound=nn.Module)
_MEND = "leave that dropout as it is: name the others in `only`"


@dataclass(frozen=True)
class Rescaled:
    """One change: a dropout took another scale, and the weights behind it the factor that it gave away."""

    layer: str
    rate: float
    before: Scale
    after: Scale
    factor: float
    """By what each of the weights was multiplied."""
    weights: tuple[str, ...]


def convert_scale(
    model: _Model, to: Scale, *, only: Iterable[str] | None = None, inplace: bool = False
) -> tuple[_Model, list[Rescaled]]:
    """Convert a trained model from inverted dropout to the scaling of the 2014 paper, or back.

    From `"train"` to `"eval"` the weights behind a dropout of rate p become W / (1 - p), from `"eval"` to
    `"train"` they become (1 - p) W (Srivastava et al. 2014). Under the same masks the model
    computes what it did, in training and in eval, up to one rounding of each weight. Biases stay; a gradient
    of such a weight is divided by its factor. torch's `nn.Dropout` is inverted and becomes
    `dropkit.torch.Dropout`; calls of `F.dropout` and the rates inside `nn.MultiheadAttention` and the RNNs
    stay as they are. What counts is `forward`: a method of the model's own that reaches the same weights by
    another way (an `encode` without the dropout, say) is not followed, and would see them changed.

    Args:
        model: a trained model.
        to: `"train"` (inverted) or `"eval"` (2014). `"none"` differs from both in what it computes, so that
            only layers of rate 0 can be converted to it or from it.
        only: names of the dropout layers to convert; without it, all whose scale is another one.
        inplace: change the model itself and not a deep copy.

    Returns:
        the converted model, and what changed in it.

    Raises:
        DropkitError: what follows a dropout is not linear, or its weight is tied or computed; a layer has no
            factor (alpha, Gaussian, uniform noise, zoneout), no single fixed rate, or rate 1; the model has
            no dropout or cannot be traced. Nothing is changed then.

    >>> model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 1))
    >>> converted, changes = convert_scale(model, "eval")
    >>> changes
    [Rescaled(layer='0', rate=0.5, before='train', after='eval', factor=2.0, weights=('1.weight',))]
    """
    SCALE.check("to", to)
    sources = _sources(model, only)
    return _rescale(model, to, [pair for pair in sources if _scale(pair[1]) != to], inplace)


def bake_scale(
    model: _Model, *, only: Iterable[str] | None = None, inplace: bool = False
) -> tuple[_Model, list[Rescaled]]:
    """Bake the factor 1 - p of eval into the weights behind each dropout: eval needs none any more.

    W becomes (1 - p) W, and the dropout inverted, so that training goes on as before too: this is
    `convert_scale(model, "train")` for the layers of scale `"eval"`, and what is said there holds here.

    Args:
        model: a trained model with dropout of scale `"eval"`.
        only: names of the dropout layers to bake; without it, all of scale `"eval"`.
        inplace: change the model itself and not a deep copy.

    Returns:
        the model without factors in eval, and what changed in it.

    Raises:
        DropkitError: there is nothing to bake, or as `convert_scale`.

    >>> model = nn.Sequential(Dropout(0.5, scale="eval"), nn.Linear(4, 1))
    >>> baked, _ = bake_scale(model)
    >>> torch.equal(baked[1].weight, model[1].weight / 2)
    True
    """
    found = [pair for pair in _sources(model, only) if _scale(pair[1]) == "eval"]
    if not found:
        mend = "there is no factor in eval to bake: use the model as it is"
        raise DropkitError("model", "has dropout of scale 'eval'", type(model).__name__, mend)
    return _rescale(model, "train", found, inplace)


def _rescale(
    model: _Model, to: Scale, sources: list[tuple[str, nn.Module]], inplace: bool
) -> tuple[_Model, list[Rescaled]]:
    follower = Follower(model)
    changes = [_plan(model, name, module, to, follower) for name, module in sources]
    model = model if inplace else copy.deepcopy(model)
    for change in changes:
        _apply(model, change)
    return model, changes


def _sources(model: nn.Module, only: Iterable[str] | None) -> list[tuple[str, nn.Module]]:
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    found = {name: m for name, m in model.named_modules() if isinstance(m, Layer | _DropoutNd)}
    if not found:
        mend = "calls of F.dropout inside forward cannot be converted: use dropkit.torch.Dropout layers"
        raise DropkitError("model", "has dropout layers", type(model).__name__, mend)
    names = list(found) if only is None else check_names("only", only, found)
    return [(name, found[name]) for name in names]


def _scale(module: nn.Module) -> Scale:
    return module.description.scale if isinstance(module, Layer) else "train"


def _plan(model: nn.Module, name: str, module: nn.Module, to: Scale, follower: Follower) -> Rescaled:
    rate, before = _rate(name, module, to), _scale(module)
    if rate == 0:
        return Rescaled(name, rate, before, to, 1.0, ())
    if rate == 1 or "none" in (before, to):
        rule = (
            f"of {name!r} keeps what the model computes, from a rate below 1, to or from 'train' and 'eval'"
        )
        raise DropkitError("to", rule, f"{before} to {to} at rate {rate}", _MEND)
    factor = 1 - rate if to == "train" else 1 / (1 - rate)
    weights = tuple(f"{linear}.weight" for linear in follower.linears(name))
    _check_range(model, weights, factor)
    return Rescaled(name, rate, before, to, factor, weights)


def _check_range(model: nn.Module, weights: Iterable[str], factor: float) -> None:
    """Refuse a factor that the type of a weight cannot carry: float16 ends at 65,504 and at 6e-8."""
    for name in weights:
        weight = model.get_parameter(name).detach()
        scaled = (weight * factor).double()
        if not torch.allclose(scaled, weight.double() * factor, rtol=torch.finfo(weight.dtype).eps, atol=0):
            mend = "convert the model in float32 first: model.float()"
            raise DropkitError("model", f"has room for {name} times {factor:.3g}", weight.dtype, mend)


def _rate(name: str, module: nn.Module, to: Scale) -> float:
    """Return the one fixed rate of a layer whose scale can change."""
    if not _has_factor(module, to):
        rule = f"has layers of which {to!r} is a scale and whose entries all share the factor"
        raise DropkitError("model", rule, f"{name}: {type(module).__name__}", _MEND)
    if isinstance(module, Layer) and not isinstance(module.description.rate, float):
        mend = "fix the rate first, e.g. dropkit.torch.set_rates(layer, 0.1)"
        raise DropkitError("model", f"has one fixed rate at {name!r}", module.description.rate, mend)
    return float(module.p)  # type: ignore[arg-type]  # a number in both kinds of layers


def _has_factor(module: nn.Module, to: Scale) -> bool:
    if not isinstance(module, Layer):
        return type(module) in _TWINS
    if isinstance(module, Zoneout) or (isinstance(module, TokenDropout) and (module.prefix or module.keep)):
        return False
    return to in module.description.noise.scales


def _apply(model: nn.Module, change: Rescaled) -> None:
    with torch.no_grad():
        for weight in change.weights:
            model.get_parameter(weight).mul_(change.factor)
    module = model.get_submodule(change.layer)
    if isinstance(module, Layer):
        module.describe(replace(module.description, scale=change.after))
    else:
        _replace(model, module, _TWINS[type(module)](module.p, bool(module.inplace), scale=change.after))


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put a module in every place of another one."""
    new.train(old.training)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module is old:
            model.set_submodule(name, new)
