"""Dropout as functions: `drop` for any description, and those of `torch.nn.functional` under their names."""

from __future__ import annotations

import functools
import warnings
from typing import Any, TypedDict, Unpack

import torch

from dropkit.core import noise as noises
from dropkit.core import reference
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import RATE, DropkitError, check_kind
from dropkit.core.drop import Drop
from dropkit.core.mode import MODE, Mode
from dropkit.core.rate import ONE
from dropkit.torch.autograd import dropped
from dropkit.torch.check import TensorError, check_fit, check_source, check_tensor
from dropkit.torch.keys import AnyKey
from dropkit.torch.run import Call, constant, describe, law_of, widen

__all__ = [
    "FEATURE_PATTERNS",
    "ODD_PATTERN",
    "Source",
    "alpha_dropout",
    "carry_out",
    "drop",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "evaluate",
    "feature_alpha_dropout",
    "feature_pattern",
    "number",
    "perturb",
]

Tensor = torch.Tensor

FEATURE_PATTERNS = {1: "... c l -> ... c", 2: "n c ... -> n c", 3: "... c d h w -> ... c"}
"""The pattern of dropout1d, 2d and 3d: with and without a batch."""

ODD_PATTERN = "c ... -> c"
"""What dropout3d makes of an input that has neither four axes nor five."""


class Source(TypedDict, total=False):
    """Where the draws come from, in every function and layer.

    Args:
        key: the address of the draws: an int, a `dropkit.Key`, or an int64 tensor. Without one, one number is
            taken from `generator`, or from torch's own.
        generator: where the key is taken from; eager mode only.
    """

    key: AnyKey | None
    generator: torch.Generator | None


def drop(
    input: Tensor,
    description: Drop,
    *,
    mode: Mode = "train",
    window: Window = WHOLE,
    fill: Tensor | None = None,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Drop entries of a tensor as described: y = m(u) x + b(u).

    A function that is compiled takes a description that was made outside of it.

    Args:
        input: a tensor of a real floating type.
        description: noise, groups, rate and scale.
        mode: `"train"` and `"mc"` draw, `"eval"` applies the noise's eval map.
        window: the place of the tensor inside a larger one.
        fill: what a dropped entry becomes, of the shape of `input`.
        inplace: overwrite `input`.
        **source: `key` and `generator`; see `Source`.

    Raises:
        DropkitError: an argument is wrong, in every mode; a `TensorError` if the tensor is not of a floating
            type or does not fit the groups.

    >>> import torch
    >>> drop(torch.ones(2, 4), Drop(0.5, "b t -> b"), key=2)
    tensor([[0., 0., 0., 0.],
            [2., 2., 2., 2.]])
    """
    MODE.check("mode", mode)
    check_kind("description", description, Drop, "describe the dropout, e.g. dropkit.Drop(0.5)")
    call = Call(
        law_of(description, window), description.rate if isinstance(description.rate, float) else None
    )
    return carry_out(input, call, mode, fill=fill, inplace=inplace, **source)


def carry_out(
    input: Tensor,
    call: Call,
    mode: Mode,
    *,
    fill: Tensor | None = None,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Check everything whatever the mode and the rate, as on NumPy; then draw, or apply the eval map."""
    check_tensor(input)
    check_source(**source)
    check_fit(call.law, input)
    if mode == "eval":
        return evaluate(input, call, fill=fill, inplace=inplace)
    return perturb(input, call, fill=fill, inplace=inplace, **source)


def perturb(
    input: Tensor,
    call: Call,
    *,
    fill: Tensor | None = None,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Draw and apply: what a layer does in training. At rate 0 that is nothing, as in torch."""
    check_tensor(input)
    if fill is not None:
        fill = _fitting(fill, input, call)
    if call.rate == 0:
        return input
    check_source(**source)
    return dropped(input, call, fill=fill, inplace=inplace, **source)


def evaluate(input: Tensor, call: Call, *, fill: Tensor | None = None, inplace: bool = False) -> Tensor:
    """Return the eval map: the very object `input` where that is the identity."""
    noise = _eval_noise(call.law)
    if not noise:
        return input
    check_tensor(input)
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
    **source: Unpack[Source],
) -> Tensor:
    """Drop each entry with probability p and scale the rest by 1 / (1 - p): `torch.nn.functional.dropout`.

    Args:
        input: a tensor of a real floating type.
        p: the probability that an entry is dropped, in [0, 1].
        training: False returns `input` itself.
        inplace: overwrite `input`.
        **source: `key` and `generator`; see `Source`.

    Raises:
        DropkitError: p lies outside [0, 1] or the tensor is not of a floating type.

    >>> import torch
    >>> dropout(torch.ones(4), 0.5, key=1)
    tensor([2., 0., 2., 2.])
    """
    return _dropout(input, "...", "bernoulli", p, training, inplace, **source)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Drop whole channels of (N, C, L) or (C, L): `torch.nn.functional.dropout1d`.

    Arguments as in `dropout`.
    """
    return _dropout(input, feature_pattern(1, input.dim()), "bernoulli", p, training, inplace, **source)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Drop whole channels of (N, C, H, W): `torch.nn.functional.dropout2d`. Arguments as in `dropout`.

    As there, three axes are read as (N, C, L), with a warning.
    """
    return _dropout(input, feature_pattern(2, input.dim()), "bernoulli", p, training, inplace, **source)


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Drop whole channels of (N, C, D, H, W) or (C, D, H, W): `torch.nn.functional.dropout3d`.

    Arguments as in `dropout`.
    """
    return _dropout(input, feature_pattern(3, input.dim()), "bernoulli", p, training, inplace, **source)


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Send entries to SELU's floor, keep mean and variance: `torch.nn.functional.alpha_dropout`.

    Arguments as in `dropout`.
    """
    return _dropout(input, "...", "alpha", p, training, inplace, **source)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    **source: Unpack[Source],
) -> Tensor:
    """Alpha dropout of whole channels of (N, C, ...): `torch.nn.functional.feature_alpha_dropout`.

    Arguments as in `dropout`.
    """
    return _dropout(input, "n c ... -> n c", "alpha", p, training, inplace, **source)


def number(p: Any) -> Any:
    """Return the number in a tensor, which torch takes for a rate too; else what was given.

    >>> number(torch.tensor(0.5)), number(0.1)
    (0.5, 0.1)
    """
    return p.item() if isinstance(p, Tensor) and p.ndim == 0 else p


def feature_pattern(spatial: int, rank: int) -> str:
    """Return the pattern of channel-wise dropout, with torch's warnings and errors on odd ranks.

    One pattern serves inputs with and without a batch. As in torch, dropout2d takes every input for a batch,
    and dropout3d takes none of an odd rank for one.
    """
    known = (spatial + 1, spatial + 2)
    if spatial == 1 and rank not in known:
        rule = f"has 2 or 3 axes: Expected 2D or 3D input, but received a {rank}D input"
        raise TensorError("input of dropout1d", rule, rank, "give (N, C, L) or (C, L)")
    name, odd = f"dropout{spatial}d", rank not in known
    if odd:
        _warn(
            f"{name}: Received a {rank}-D input to {name}; it is read as "
            f"{'(N, C, ...)' if spatial == 2 else '(C, ...)'}, which torch means to refuse some day: use "
            f"dropout, or give {known[0]} or {known[1]} axes"
        )
    if (spatial, rank) == (2, 3):
        _warn(
            f"{name}: Received a 3D input to {name}, assuming that channel-wise 1D dropout behavior is "
            "desired: it is read as (N, C, L); use dropout1d to say so"
        )
    return ODD_PATTERN if odd and spatial == 3 else FEATURE_PATTERNS[spatial]


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
    **source: Unpack[Source],
) -> Tensor:
    p = RATE.check("p", number(p))
    if not training:
        return input
    return perturb(input, Call(_named_law(pattern, noise), p), inplace=inplace, **source)


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


@constant
def _check_noise(law: str) -> bool:
    reference.check_fill(describe(law)[0])
    return True


def _fitting(fill: Tensor, input: Tensor, call: Call) -> Tensor:
    check_kind("fill", fill, Tensor, "give the tensor whose entries take the place of dropped ones")
    _check_noise(call.law)
    try:
        return fill.expand(input.shape)
    except RuntimeError as error:
        rule = f"broadcasts to input of shape {tuple(input.shape)}"
        raise DropkitError("fill", rule, tuple(fill.shape), "give an entry for each of input") from error
