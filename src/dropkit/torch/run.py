"""A dropout on real memory: by the native loop where it serves, by the plain twin elsewhere."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import torch

from dropkit.core import reference
from dropkit.core.address import Words
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import check_kind
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Groups
from dropkit.core.rate import ONE
from dropkit.core.reference import Arrays
from dropkit.torch import triton_loop
from dropkit.torch.native import MISSING, Loop, NativeDraws, plan, warn_if_slow

__all__ = ["Call", "constant", "describe", "drawn", "laid", "law_of", "run", "widen"]

Tensor = torch.Tensor
F = TypeVar("F", bound=Callable[..., Any])


def constant(function: F) -> F:
    """Mark a function that a compiler calls once and does not look into."""
    # What torch.compiler.assume_constant_result does; itself it would load the whole compiler, which takes as
    # long as torch, for everybody who compiles nothing.
    vars(function)["_dynamo_marked_constant"] = True
    return function


class Call(NamedTuple):
    """What is asked: a law (see `law_of`), its rate if that is one number, its threshold under a schedule."""

    law: str
    rate: float | None = None
    threshold: Tensor | None = None


@constant
def law_of(drop: Drop, window: Window = WHOLE) -> str:
    """Return all of a description but a plain rate, as the text that an operator carries through a graph."""
    return _write(drop, check_kind("window", window, Window, "write e.g. dropkit.Window((128,))"))


@functools.lru_cache(maxsize=4096)
def _write(drop: Drop, window: Window) -> str:
    data = json.loads(drop.to_json())
    if isinstance(drop.rate, float):
        data["rate"] = 0.0
    if window != WHOLE:
        data["window"] = [window.start, window.whole]
    return json.dumps(data)


@functools.lru_cache(maxsize=4096)
def describe(law: str) -> tuple[Drop, Window]:
    """Return what `law_of` wrote down."""
    start, whole = json.loads(law).get("window", [(), None])
    return Drop.from_json(law), Window(tuple(start), None if whole is None else tuple(whole))


def run(
    x: Tensor,
    words: Words[Any],
    call: Call,
    *,
    fill: Tensor | None = None,
    linear: bool = False,
    inplace: bool = False,
) -> Tensor:
    """Return m x + b (m x alone where `linear`) under a key, without recording a gradient.

    The loop walks memory as it lies; the group index is logical all the same.
    """
    out = x if inplace else torch.empty_like(x)
    if x.is_cpu and fill is None and not x.is_neg():
        rate = call.rate if call.threshold is None else call.threshold.item() / ONE
        loop = (
            None
            if rate is None
            else _loop(call.law, rate, x.dtype, x.shape, x.stride(), out.stride(), linear)
        )
        if loop is not None:
            if inplace:
                # The loop writes past autograd, which must learn that saved values are gone.
                torch.autograd.graph.increment_version(x)
            return loop(x, out, words)
    if x.is_cuda and fill is None and triton_loop.AVAILABLE and not x.is_neg():
        done = _by_triton(x, out, words, call, linear)
        if done is not None:
            return done
    if MISSING and x.is_cpu:
        warn_if_slow(x.numel())
    return out.copy_(_twin(x, words, call, fill, linear))


@functools.lru_cache(maxsize=4096)
def _loop(
    law: str,
    rate: float,
    dtype: torch.dtype,
    shape: torch.Size,
    steps: tuple[int, ...],
    strides: tuple[int, ...],
    linear: bool,
) -> Loop | None:
    # The text is the key of the cache: its hash is kept, that of a nested description is not.
    drop, window = describe(law)
    return plan(drop, window, rate, dtype, shape, steps, strides, linear)


def _by_triton(x: Tensor, out: Tensor, words: Words[Any], call: Call, linear: bool) -> Tensor | None:
    drop, window = describe(call.law)
    walk = triton_loop.plan(drop, window, tuple(x.shape), x.stride(), out.stride())
    rate = call.rate if call.rate is not None else drop.rate
    if walk is None or not (call.threshold is not None or isinstance(rate, float | int)):
        return None
    if x.data_ptr() == out.data_ptr():
        torch.autograd.graph.increment_version(x)
    return triton_loop.run(x, out, words, drop, walk, rate, call.threshold, linear)


def _twin(x: Tensor, words: Words[Any], call: Call, fill: Tensor | None, linear: bool) -> Tensor:
    drop, window = describe(call.law)
    arrays = Arrays(torch, x.device, NativeDraws if x.is_cpu else Draws)
    fill = None if fill is None else widen(fill)
    rate = _rate(drop, x, call)
    return reference.transform(  # type: ignore[no-any-return]  # the engine serves any array
        widen(x), drop, words, rate, window=window, fill=fill, linear=linear, arrays=arrays
    )


def _rate(drop: Drop, x: Tensor, call: Call) -> Any:
    if call.threshold is not None:
        # Waiting for the number would stop a CUDA stream; on the CPU it is there already.
        word = call.threshold
        return word.item() / ONE if word.is_cpu else word.to(torch.float64) / ONE
    if call.rate is not None:
        return call.rate
    return reference.entry_rate(drop, tuple(x.shape), Arrays(torch, x.device))


def drawn(groups: Groups, shape: tuple[int, ...], key: Words[Any], second: bool, device: Any) -> Tensor:
    """Return the words of every group, on the CPU by the native loop."""
    kind = NativeDraws if torch.device(device).type == "cpu" else Draws
    draws = kind(torch, groups.layout(shape), key, device)
    u: Tensor = draws.second() if second else draws.u
    return u


def widen(x: Tensor) -> Tensor:
    """Arithmetic happens in float32 at least: a factor of 1 / 0.9 would be 1.109 in bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def laid(values: Tensor, like: Tensor) -> Tensor:
    """Return values that lie in memory as another tensor: what `torch.where` makes of them lies so too.

    >>> x = torch.ones(2, 3, 4, 4).to(memory_format=torch.channels_last)
    >>> laid(torch.ones(x.shape), x).stride() == x.stride()
    True
    """
    if values.stride() == like.stride() or values.shape != like.shape or like.is_contiguous():
        return values
    return torch.empty_like(like, dtype=values.dtype).copy_(values)
