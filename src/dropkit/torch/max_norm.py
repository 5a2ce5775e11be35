"""Max-norm, the companion of dropout in the 2014 paper: the weights coming into a unit stay inside a ball."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from dropkit.core.check import DropkitError, Interval, check_kind, check_names

__all__ = ["RADIUS", "max_norm_"]

Tensor = torch.Tensor
RADIUS = Interval(0, math.inf, "give a radius; usual are 3 to 4", open_low=True, open_high=True)


class _Units(NamedTuple):
    """A view of one weight, and the norm of each unit, of a shape that broadcasts against it."""

    weight: Tensor
    norms: Tensor


@torch.no_grad()
def max_norm_(model: nn.Module, c: float, *, skip: Iterable[str] = ()) -> int:
    """Bring the weights coming into each unit back into the ball of radius c, in place.

    w <- w min(1, c / ||w||), with w the vector of the weights incident on one unit: a row of `nn.Linear`, a
    filter of a convolution. Srivastava et al. 2014 (for hidden units, after each update). Biases
    stay. Afterwards no norm of these exceeds c, so that a second call clips nothing; units inside the ball
    keep their bits. Weights that are no `nn.Linear` or convolution, such as the joint projection inside
    `nn.MultiheadAttention` and those of the RNNs, are left alone.

    Args:
        model: a module; its `nn.Linear` and convolutions of 1 to 3 axes, transposed ones too, are clipped.
        c: the radius, above 0; usual are 3 to 4.
        skip: names of submodules that are left alone with all they hold, e.g. the output layer.

    Returns:
        the number of units that were clipped.

    Raises:
        DropkitError: c is not above 0, `skip` names nothing, there is nothing to clip, a weight is computed
            from others (`weight_norm` and the like) or is not finite. Nothing is changed then.

    >>> layer = nn.Linear(2, 2)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    >>> max_norm_(layer, 1.0)
    1
    >>> layer.weight.detach()
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])

    After each update: `optimizer.register_step_post_hook(lambda *_: max_norm_(model, 3.0))`.
    """
    c = RADIUS.check("c", c)
    measured = [_measure(name, module) for name, module in _chosen(model, skip)]
    return sum(_clip(units, c) for units in measured)


def _chosen(model: nn.Module, skip: Iterable[str]) -> list[tuple[str, nn.Linear | _ConvNd]]:
    check_kind("model", model, nn.Module, "give the torch.nn.Module itself")
    left_out = set(_left_out(model, skip))
    # A weight that two modules share is one weight: it has its units once.
    chosen: dict[object, tuple[str, nn.Linear | _ConvNd]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | _ConvNd) and module not in left_out:
            weight = dict(module.named_parameters(recurse=False)).get("weight", module)
            chosen.setdefault(weight, (name, module))
    if not chosen:
        mend = "give a model with nn.Linear or convolutions that `skip` does not name"
        raise DropkitError("model", "has weights to clip", type(model).__name__, mend)
    return list(chosen.values())


def _left_out(model: nn.Module, skip: Iterable[str]) -> Iterator[nn.Module]:
    modules = dict(model.named_modules(remove_duplicate=False))
    for name in check_names("skip", skip, modules):
        yield from modules[name].modules()


def _measure(name: str, module: nn.Linear | _ConvNd) -> _Units:
    weight = dict(module.named_parameters(recurse=False)).get("weight")
    if weight is None:
        mend = "clip what it is computed from yourself, or name the module in `skip`"
        raise DropkitError("model", "has plain weights", f"{name}: a computed weight", mend)
    view, incoming = _units(module, weight)
    norms = torch.linalg.vector_norm(view, dim=incoming, keepdim=True, dtype=_wide(weight))
    if not norms.isfinite().all():
        mend = "the training has diverged: take a smaller learning rate"
        raise DropkitError("model", "has finite weights", f"{name}.weight: inf or nan", mend)
    return _Units(view, norms)


def _units(module: nn.Linear | _ConvNd, weight: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return a view of a weight, and its axes over which the weights of one unit lie."""
    if isinstance(module, _ConvTransposeNd):
        # (in, out / groups, ...): the inputs of a unit are those of its own group.
        view = torch.unflatten(weight, 0, (module.groups, -1))
        return view, (1, *range(3, view.dim()))
    return weight, tuple(range(1, weight.dim()))


def _wide(weight: Tensor) -> torch.dtype:
    # float64 keeps the norm's own error below what a float32 weight can show; MPS has none.
    return torch.float32 if weight.device.type == "mps" else torch.float64


def _clip(units: _Units, c: float) -> int:
    weight, norms = units
    over = norms > c
    # Rounding may lengthen a unit by half an epsilon of its type: so much the ball is smaller.
    slack = torch.finfo(weight.dtype).eps / 2 + 4 * torch.finfo(norms.dtype).eps
    factor = torch.where(over, c * (1 - slack) / norms, 1.0)
    weight.copy_(weight * factor)
    return int(over.sum())
