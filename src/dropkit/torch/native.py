"""The way down to the native loop: which calls it can serve, and with which numbers."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch

from dropkit.core import address
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Pattern
from dropkit.core.layout import Layout
from dropkit.core.noise import TwoPoint
from dropkit.core.rate import threshold

try:
    from dropkit import _native
except ImportError:  # built without a C++ compiler: the plain twin answers with the same bits
    _native = None  # type: ignore[assignment]  # the extension is optional

__all__ = ["AVAILABLE", "Loop", "NativeDraws", "plan"]

AVAILABLE = _native is not None
attention: Any = getattr(_native, "_attention", None)
attention_backward: Any = getattr(_native, "_attention_backward", None)


class Loop(NamedTuple):
    """One call of the native loop, all numbers known but the addresses of the data and the key."""

    run: Any
    layout: Any
    threshold: int
    scale: float
    shift: float
    fill: float

    def __call__(self, x: torch.Tensor, out: torch.Tensor, words: Words[int]) -> torch.Tensor:
        """Write m x + b into `out`, which may be `x`; both lie in memory in the order of the layout."""
        self.run(x.data_ptr(), out.data_ptr(), self.layout, *words, *self[2:], torch.get_num_threads())
        return out


def plan(
    drop: Drop,
    window: Window,
    rate: float,
    dtype: torch.dtype,
    shape: torch.Size,
    strides: tuple[int, ...],
    linear: bool,
) -> Loop | None:
    """Return the loop for dense tensors of these strides, or None where the plain twin has to serve."""
    runs = {torch.float32: "_two_point_float32_at", torch.float64: "_two_point_float64_at"}
    if not AVAILABLE or dtype not in runs or not isinstance(drop.groups, Pattern):
        return None
    if not isinstance(drop.noise, TwoPoint) or not isinstance(rate, float | int):
        return None
    order = tuple(sorted(range(len(shape)), key=lambda i: -strides[i]))
    if drop.groups.split(tuple(shape)) != tuple(shape) or not _fills_memory(shape, strides, order):
        return None
    layout = drop.groups.layout(tuple(shape), window).permute(order)
    affine = drop.noise.affine(rate, drop.scale)
    shift, fill = (0.0, 0.0) if linear else (affine.shift, affine.fill)
    return Loop(
        getattr(_native, runs[dtype]),
        _native_layout(layout),
        threshold(rate, torch),
        affine.scale,
        shift,
        fill,
    )


def _fills_memory(shape: torch.Size, strides: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Whether the entries lie in this order of axes without a gap or an overlap."""
    step = 1
    for i in reversed(order):
        if shape[i] != 1 and strides[i] != step:
            return False
        step *= shape[i]
    return True


class NativeDraws(Draws):
    """Draws that come from the native loops, for every geometry and every type of entry."""

    @functools.cached_property
    def u(self) -> Any:
        """The u of every group, int64 below 2**32."""
        run = functools.partial(_run, second=False) if AVAILABLE else address.uniform
        return self.layout.draw(torch, self.words, self.device, run, address.uniform_at)

    def second(self) -> Any:
        """Return the second uniform of every group, int64 below 2**32."""
        run = functools.partial(_run, second=True) if AVAILABLE else address.second
        return self.layout.draw(torch, self.words, self.device, run, address.second_at)

    def below(self, rate: Any) -> Any:
        """Return which groups fall at this rate."""
        if not AVAILABLE or not isinstance(rate, float | int):
            return super().below(rate)
        layout = Layout(self.layout.shape, self.layout.strides, self.layout.base)
        fallen = torch.empty(layout.sizes, dtype=torch.bool, device="cpu")
        number = threshold(rate, torch)
        _native.dropped(fallen.numpy(), _native_layout(layout), *self.words, number, torch.get_num_threads())
        return fallen


def _run(xp: Any, key: Words[int], start: int, count: int, device: Any, second: bool) -> torch.Tensor:
    """Draw for groups that follow one another: the native form of `address.uniform` and `address.second`."""
    drawn = torch.empty(count, dtype=torch.int64, device="cpu")
    _native.draw(drawn.numpy(), start, *key, second)
    return drawn


def _native_layout(layout: Layout) -> Any:
    collapsed = layout.collapse()
    return _native.Layout(collapsed.sizes, collapsed.strides, collapsed.base)
