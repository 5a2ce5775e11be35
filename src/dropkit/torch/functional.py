"""Dropout as functions: `drop` for any description, and those of `torch.nn.functional` under their names."""

from __future__ import annotations

import functools
import warnings

import torch

from dropkit.core import reference
from dropkit.core.bind import Window
from dropkit.core.check import RATE, DropkitError
from dropkit.core.drop import Drop
from dropkit.core.mode import MODE, Mode
from dropkit.torch.autograd import dropped
from dropkit.torch.keys import AnyKey
from dropkit.torch.run import Call, describe, law_of, rate_of

__all__ = [
    "alpha_dropout",
    "drop",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "evaluate",
    "feature_alpha_dropout",
    "feature_pattern",
    "perturb",
]

Tensor = torch.Tensor
_WHOLE_ARRAY = Window()


def drop(
    input: Tensor,
    description: Drop,
    *,
    mode: Mode = "train",
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
    window: Window = _WHOLE_ARRAY,
    fill: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """Drop entries of a tensor as described: y = m(u) x + b(u).

    Args:
        input: a tensor of a real floating type.
        description: noise, groups, rate and scale.
        mode: `"train"` and `"mc"` draw, `"eval"` applies the noise's eval map.
        key: the address of the draws: an int, a `dropkit.Key`, or an int64 tensor. Without one, one number is
            taken from `generator`, or from torch's own.
        generator: where the key is taken from; eager mode only.
        window: the place of the tensor inside a larger one.
        fill: what a dropped entry becomes, of the shape of `input`.
        inplace: overwrite `input`.

    Raises:
        DropkitError: the tensor is not of a floating type or does not fit the groups.

    >>> import torch
    >>> drop(torch.ones(2, 4), Drop(0.5, "b t -> b"), key=4)
    tensor([[0., 0., 0., 0.],
            [2., 2., 2., 2.]])
    """
    MODE.check("mode", mode)
    call = Call(_law(description, window), description.rate if isinstance(description.rate, float) else None)
    if mode == "eval":
        return evaluate(input, call, fill=fill, inplace=inplace)
    return perturb(input, call, key=key, generator=generator, fill=fill, inplace=inplace)


def perturb(
    input: Tensor,
    call: Call,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
    fill: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """Draw and apply: `drop` in the modes "train" and "mc", for a call that is described already."""
    _check_type(input)
    if fill is not None:
        reference.check_fill(describe(call.law)[0])
    if call.rate == 0:
        return input
    if key is not None and generator is not None:
        raise DropkitError("generator", "is left out where key is given", generator, "give one of the two")
    return dropped(input, call, key, generator=generator, fill=fill, inplace=inplace)


def evaluate(input: Tensor, call: Call, *, fill: Tensor | None = None, inplace: bool = False) -> Tensor:
    """Return the eval map: the very object `input` where that is the identity."""
    description, _ = describe(call.law)
    if description.scale != "eval":
        return input
    rate = rate_of(description, input, call)
    mapped = reference.evaluate(input, description, rate, fill, reference.Arrays(torch, input.device))
    return input.copy_(mapped) if inplace else mapped.to(input.dtype)


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Drop each entry with probability p and scale the rest by 1 / (1 - p): `torch.nn.functional.dropout`.

    Args:
        input: a tensor of a real floating type.
        p: the probability that an entry is dropped, in [0, 1].
        training: False returns `input` itself.
        inplace: overwrite `input`.
        key: the address of the draws; see `drop`.
        generator: where the key is taken from; eager mode only.

    Raises:
        DropkitError: p lies outside [0, 1] or the tensor is not of a floating type.

    >>> import torch
    >>> dropout(torch.ones(4), 0.5, key=1)
    tensor([0., 2., 0., 0.])
    """
    return _dropout(input, "...", "bernoulli", p, training, inplace, key, generator)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Drop whole channels of (N, C, L) or (C, L): `torch.nn.functional.dropout1d`.

    Arguments as in `dropout`.
    """
    return _dropout(input, feature_pattern(1, input.dim()), "bernoulli", p, training, inplace, key, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Drop whole channels of (N, C, H, W): `torch.nn.functional.dropout2d`. Arguments as in `dropout`.

    As there, three axes are read as (N, C, L), with a warning.
    """
    return _dropout(input, feature_pattern(2, input.dim()), "bernoulli", p, training, inplace, key, generator)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Drop whole channels of (N, C, D, H, W) or (C, D, H, W): `torch.nn.functional.dropout3d`.

    Arguments as in `dropout`.
    """
    return _dropout(input, feature_pattern(3, input.dim()), "bernoulli", p, training, inplace, key, generator)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Send entries to SELU's floor, keep mean and variance: `torch.nn.functional.alpha_dropout`.

    Arguments as in `dropout`.
    """
    return _dropout(input, "...", "alpha", p, training, inplace, key, generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    key: AnyKey | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Alpha dropout of whole channels of (N, C, ...): `torch.nn.functional.feature_alpha_dropout`.

    Arguments as in `dropout`.
    """
    return _dropout(input, "n c ... -> n c", "alpha", p, training, inplace, key, generator)


def feature_pattern(spatial: int, rank: int) -> str:
    """Return the pattern of channel-wise dropout, with torch's warnings and errors on odd ranks."""
    unbatched, batched = spatial + 1, spatial + 2
    name = f"dropout{spatial}d"
    if spatial == 1 and rank not in (unbatched, batched):
        raise RuntimeError(
            f"{name}: Expected 2D or 3D input, but received a {rank}D input: (N, C, L) or (C, L) is wanted"
        )
    if rank not in (unbatched, batched):
        _warn(
            f"{name}: Received a {rank}-D input to {name}; it is read as (N, C, ...), which torch means to "
            f"refuse some day: use dropout, or give {unbatched} or {batched} axes"
        )
    if spatial == 2 and rank == unbatched:
        _warn(
            f"{name}: Received a 3D input to {name}, assuming that channel-wise 1D dropout behavior is "
            "desired: it is read as (N, C, L); use dropout1d to say so"
        )
    return "c ... -> c" if rank == unbatched and spatial != 2 else "n c ... -> n c"


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=4)


def _dropout(
    input: Tensor,
    pattern: str,
    noise: str,
    p: float,
    training: bool,
    inplace: bool,
    key: AnyKey | None,
    generator: torch.Generator | None,
) -> Tensor:
    p = RATE.check("p", p)
    if not training:
        return input
    call = Call(_named_law(pattern, noise), p)
    return perturb(input, call, key=key, generator=generator, inplace=inplace)


@functools.lru_cache(maxsize=64)
def _named_law(pattern: str, noise: str) -> str:
    return law_of(Drop(0.0, pattern, noise))


@functools.lru_cache(maxsize=4096)
def _law(description: Drop, window: Window) -> str:
    return law_of(description, window)


def _check_type(input: Tensor) -> None:
    if not input.is_floating_point():
        raise DropkitError("input", "has a real floating type", input.dtype, "convert it, e.g. input.float()")
