"""Dropout as functions: `drop` for any description, and those of `torch.nn.functional` under their names."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch

from dropkit.core import noise as noises
from dropkit.core import reference
from dropkit.core.bind import Window
from dropkit.core.check import RATE, DropkitError
from dropkit.core.drop import Drop
from dropkit.core.mode import MODE, Mode
from dropkit.core.rate import ONE
from dropkit.torch.autograd import dropped
from dropkit.torch.keys import AnyKey
from dropkit.torch.run import Call, constant, describe, law_of, widen

__all__ = [
    "RankError",
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


class RankError(DropkitError, RuntimeError):
    """A tensor has too few or too many axes; where torch raises a `RuntimeError`, this is one."""


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
    >>> drop(torch.ones(2, 4), Drop(0.5, "b t -> b"), key=2)
    tensor([[0., 0., 0., 0.],
            [2., 2., 2., 2.]])
    """
    MODE.check("mode", mode)
    call = Call(
        law_of(description, window), description.rate if isinstance(description.rate, float) else None
    )
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
        fill = _fitting(fill, input, call)
    if call.rate == 0:
        return input
    if key is not None and generator is not None:
        raise DropkitError("generator", "is left out where key is given", generator, "give one of the two")
    return dropped(input, call, key, generator=generator, fill=fill, inplace=inplace)


def evaluate(input: Tensor, call: Call, *, fill: Tensor | None = None, inplace: bool = False) -> Tensor:
    """Return the eval map: the very object `input` where that is the identity."""
    noise = _eval_noise(call.law)
    if not noise:
        return input
    _check_type(input)
    factor = _eval_factor(noise, input, call)
    mapped = widen(input) * factor
    if fill is not None:
        mapped = mapped + (1 - factor) * widen(_fitting(fill, input, call))
    mapped = mapped.to(input.dtype)
    return input.copy_(mapped) if inplace else mapped


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
    tensor([2., 0., 2., 2.])
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
    # As in torch, dropout2d takes every input for a batch and dropout3d none but one of five axes.
    batch = spatial == 2 or rank == spatial + 2
    _check_rank(f"dropout{spatial}d", spatial, rank, "(N, C, ...)" if batch else "(C, ...)")
    return "n c ... -> n c" if batch else "c ... -> c"


def _check_rank(name: str, spatial: int, rank: int, read: str) -> None:
    known = (spatial + 1, spatial + 2)
    if spatial == 1 and rank not in known:
        rule = f"has 2 or 3 axes: Expected 2D or 3D input, but received a {rank}D input"
        raise RankError(f"input of {name}", rule, rank, "give (N, C, L) or (C, L)")
    if rank < read.count(","):
        raise RankError(f"input of {name}", f"has axes {read}", rank, "use dropout for single entries")
    if rank not in known:
        _warn(
            f"{name}: Received a {rank}-D input to {name}; it is read as {read}, which torch means to "
            f"refuse some day: use dropout, or give {known[0]} or {known[1]} axes"
        )
    if (spatial, rank) == (2, 3):
        _warn(
            f"{name}: Received a 3D input to {name}, assuming that channel-wise 1D dropout behavior is "
            "desired: it is read as (N, C, L); use dropout1d to say so"
        )


def _warn(text: str) -> None:
    if torch.compiler.is_compiling():
        return
    warnings.warn(text, stacklevel=5)


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


@constant
def _eval_noise(law: str) -> str:
    """Return the name of the noise where its eval map is not the identity, else nothing."""
    description, _ = describe(law)
    return description.noise.name if description.scale == "eval" else ""


def _eval_factor(noise: str, input: Tensor, call: Call) -> Any:
    if call.threshold is None and call.rate is None:
        return _entry_factor(call.law, tuple(input.shape), input.device)
    # The threshold stays a tensor: a graph would break at the number.
    rate = call.rate if call.threshold is None else call.threshold.to(torch.float64) / ONE
    return noises.get(noise).eval_factor(rate, "eval")


@constant
def _entry_factor(law: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
    description, _ = describe(law)
    arrays, ones = reference.Arrays(torch, device), torch.ones(shape, dtype=torch.float64, device=device)
    rate = reference.entry_rate(description, shape, arrays)
    factor: Tensor = reference.evaluate(ones, description, rate, arrays=arrays)
    return factor


@constant
def _named_law(pattern: str, noise: str) -> str:
    return _named_law_once(pattern, noise)


@functools.lru_cache(maxsize=64)
def _named_law_once(pattern: str, noise: str) -> str:
    return law_of(Drop(0.0, pattern, noise))


def _check_type(input: Tensor) -> None:
    if not isinstance(input, Tensor):
        raise DropkitError(
            "input", "is a torch tensor", type(input), "convert it, e.g. torch.as_tensor(input)"
        )
    if not input.is_floating_point():
        raise DropkitError("input", "has a real floating type", input.dtype, "convert it, e.g. input.float()")
    if input.layout is not torch.strided or input.is_nested:
        layout = "nested" if input.is_nested else input.layout
        raise DropkitError("input", "is a dense tensor", layout, "drop its values, or pad it first")


@constant
def _check_noise(law: str) -> bool:
    reference.check_fill(describe(law)[0])
    return True


def _fitting(fill: Tensor, input: Tensor, call: Call) -> Tensor:
    _check_noise(call.law)
    try:
        return fill.expand(input.shape)
    except RuntimeError as error:
        rule = f"broadcasts to input of shape {tuple(input.shape)}"
        raise DropkitError("fill", rule, tuple(fill.shape), "give an entry for each of input") from error
