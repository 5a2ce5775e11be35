"""What a call of torch is refused for, before anything is drawn."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import torch

from dropkit.core import reference
from dropkit.core.check import DropkitError, check_kind
from dropkit.core.pattern import PatternError
from dropkit.torch.keys import AnyKey, check_key
from dropkit.torch.run import describe

__all__ = [
    "ShapeError",
    "TensorError",
    "check_alike",
    "check_axes",
    "check_fit",
    "check_shape",
    "check_source",
    "check_tensor",
    "check_writable",
]

Tensor = torch.Tensor
_SEVERAL = ("SplitBackward0", "SplitWithSizesBackward0", "UnbindBackward0")
_FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})


class TensorError(DropkitError, RuntimeError):
    """A tensor was refused; where torch raises a `RuntimeError`, this is one."""


class ShapeError(PatternError, TensorError):
    """A tensor does not fit the groups."""


def check_tensor(input: Any, argument: str = "input") -> None:
    """Refuse what is no dense tensor of a real floating type."""
    if not isinstance(input, Tensor):
        mend = "convert it, e.g. torch.as_tensor(input)"
        raise DropkitError(argument, "is a torch tensor", type(input), mend)
    if input.dtype not in _FLOATS:
        mend = f"convert it, e.g. {argument}.float()"
        raise TensorError(argument, "has a real floating type of 16 bits or more", input.dtype, mend)
    if input.layout is not torch.strided or input.is_nested:
        layout = "nested" if input.is_nested else input.layout
        raise TensorError(argument, "is a dense tensor", layout, "drop its values, or pad it first")


def check_writable(input: Tensor) -> None:
    """Refuse to write in place where autograd would refuse it afterwards, or two entries lie in one place."""
    if input.is_inference() and not torch.is_inference_mode_enabled():
        rule, mend = "is not made in inference mode where it is overwritten outside of it", "clone it first"
        raise TensorError("input", rule, "an inference tensor", mend)
    if torch.is_grad_enabled() and input.requires_grad:
        _check_recorded(input)
    if not input.is_contiguous() and _shares(input.shape, input.stride()):
        mend = "call input.contiguous() first, or leave inplace out"
        raise TensorError(
            "inplace", "needs a tensor none of whose entries share memory", input.stride(), mend
        )


def _check_recorded(input: Tensor) -> None:
    mend = "leave inplace out, or write under torch.no_grad()"
    for tensor in (input, input._base if input._is_view() else None):
        if tensor is not None and tensor.is_leaf and tensor.requires_grad:
            rule = "is not a leaf Variable that requires grad, nor a view of one, where it is overwritten"
            raise TensorError("input", rule, "one that is", mend)
    made = input.grad_fn.name() if input._is_view() and input.grad_fn is not None else ""
    if made in _SEVERAL:
        rule = "is not one of several views that one function returned, where it is overwritten"
        raise TensorError("input", rule, made, mend)


@functools.lru_cache(maxsize=4096)
def _shares(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    axes = sorted((step, size) for size, step in zip(shape, strides, strict=True) if size > 1)
    if sum(step * (size - 1) for step, size in axes) + 1 < math.prod(shape):
        return True  # more entries than places
    reach = 0
    for step, size in axes:
        if step == 0:
            return True
        if step <= reach:
            # Axes that lie into each other may still miss each other: only counting tells.
            places = sum(np.arange(n)[(...,) + (None,) * i] * s for i, (s, n) in enumerate(axes))
            return np.unique(places).size < math.prod(shape)
        reach += (size - 1) * step
    return False


def check_axes(input: Any, axes: str, argument: str = "input") -> None:
    """Refuse what is no tensor of a floating type with these axes, e.g. `"b c h w"`."""
    check_tensor(input, argument)
    count = len(axes.split())
    if input.dim() != count:
        rule = f"has the {count} axes {axes!r}"
        raise TensorError(argument, rule, tuple(input.shape), "add or drop axes, e.g. by unsqueeze(0)")


def check_alike(name: str, one: Any, other_name: str, other: Any) -> None:
    """Refuse two tensors of a floating type whose shapes differ: they would broadcast, or fail in torch."""
    check_tensor(one, name)
    check_tensor(other, other_name)
    if one.shape != other.shape:
        rule = f"has the shape of {name}, {tuple(one.shape)}"
        raise TensorError(other_name, rule, tuple(other.shape), "give one number for each of the other")


@functools.lru_cache(maxsize=4096)
def check_shape(law: str, shape: torch.Size) -> None:
    """Refuse a shape that does not fit the groups, the window or the rates of a law."""
    description, window = describe(law)
    try:
        description.groups.layout(tuple(shape), window)
        reference.entry_rate(description, tuple(shape))
    except PatternError as error:
        raise ShapeError(error.text, error.at, error.rule, error.mend.partition("\n")[0]) from None


def check_fit(law: str, input: Tensor) -> None:
    """Refuse a tensor that does not fit, where its sizes are known; in a graph the operator refuses it."""
    if not torch.compiler.is_compiling() and torch._C._get_tracing_state() is None:
        check_shape(law, input.shape)


def check_source(key: AnyKey | None = None, generator: torch.Generator | None = None) -> None:
    """Refuse what is no key or no generator, and both together."""
    if generator is not None:
        check_kind("generator", generator, torch.Generator, "write e.g. torch.Generator().manual_seed(1)")
        if key is not None:
            rule = "is left out where key is given"
            raise DropkitError("generator", rule, generator, "give one of the two")
    if key is not None:
        check_key(key)
