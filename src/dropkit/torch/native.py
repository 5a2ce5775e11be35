"""The way down to the native loop: which calls it can serve, and with which numbers."""

from __future__ import annotations

import functools
import sys
import warnings
from types import ModuleType
from typing import Any, NamedTuple

import torch

from dropkit.core import address
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Pattern
from dropkit.core.layout import Layout
from dropkit.core.noise import Gaussian, Noise, TwoPoint, Uniform
from dropkit.core.rate import threshold
from dropkit.core.walk import Walk, walk

__all__ = [
    "AVAILABLE",
    "MISSING",
    "Loop",
    "NativeDraws",
    "SlowWarning",
    "drawn_in_order",
    "plan",
    "warn_if_slow",
]

_TYPES = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
}
_KINDS: dict[type[Noise], int] = {Gaussian: 1, Uniform: 2}
_FUSED = "activate", "activate_backward", "add", "norm", "norm_backward"
_NEEDED = (
    *("Layout", "draw", "dropped", "instruction_sets", "use_instructions", "fused_sets", "use_fused"),
    *("shares_threads", "_attention", "_attention_backward", "attention_sets", "use_attention"),
    *(f"_{loop}_{name}_at" for loop in ("two_point", "continuous") for name in _TYPES.values()),
    *(f"_{form}_{name}" for form in _FUSED for name in _TYPES.values() if name != "float64"),
)
_CACHED = 1 << 20  # bytes that the second cache holds of most processors
_MOST_AXES = 16  # of layout.hpp, after merging
_NOTICEABLE = 1 << 16  # entries: from here on a call of the twin takes a millisecond


class SlowWarning(UserWarning):
    """The native extension is missing, so the plain twin answers: the same bits, slower."""


def _load() -> tuple[Any, str]:
    """Return the extension, or None and what is wrong with it."""
    try:
        from dropkit import _native
    except ImportError as error:  # absent, of another Python, cut off, or linked to what is not there
        return None, str(error)
    lacking = _lacking(_native)
    return (None, f"it is of another version, without {lacking}") if lacking else (_native, "")


def _lacking(module: ModuleType) -> str:
    return ", ".join(name for name in _NEEDED if not hasattr(module, name))


_native, MISSING = _load()
AVAILABLE = _native is not None
instruction_sets: Any = getattr(_native, "instruction_sets", list)
shares_threads: Any = getattr(_native, "shares_threads", None)
use_instructions: Any = getattr(_native, "use_instructions", None)
fused_sets: Any = getattr(_native, "fused_sets", list)
use_fused: Any = getattr(_native, "use_fused", None)
attention_sets: Any = getattr(_native, "attention_sets", list)
use_attention: Any = getattr(_native, "use_attention", None)
attention: Any = getattr(_native, "_attention", None)
attention_backward: Any = getattr(_native, "_attention_backward", None)


def fused(name: str) -> Any:
    """Return one of the fused forms."""
    return getattr(_native, name)


def warn_if_slow(entries: int) -> None:
    """Say once how to get the extension, where it is missing and the call is large enough to notice."""
    if MISSING and entries >= _NOTICEABLE:
        _warn_once()


@functools.cache
def _warn_once() -> None:
    warnings.warn(
        f"dropkit: the native extension cannot be used ({MISSING}); the plain twin makes the same decisions, "
        "slower. Install dropkit anew for this Python where a C++ compiler is found: "
        "pip install --force-reinstall --no-deps dropkit",
        SlowWarning,
        stacklevel=_levels(),
    )


def _levels() -> int:
    """Return how far above its caller the first line lies that is neither ours nor torch's nor generated."""
    frame, levels = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "torch").partition(".")[0] in ("dropkit", "torch"):
        frame, levels = frame.f_back, levels + 1
    return levels


class Loop(NamedTuple):
    """One call of a native loop, all numbers known but the addresses of the data and the key."""

    run: Any
    layout: Any
    numbers: tuple[float, ...]

    def __call__(self, x: torch.Tensor, out: torch.Tensor, words: Words[int]) -> torch.Tensor:
        """Write m x + b into `out`, which may be `x`; both lie in memory as the layout says."""
        self.run(x.data_ptr(), out.data_ptr(), self.layout, *words, *self.numbers, torch.get_num_threads())
        return out


def plan(
    drop: Drop,
    window: Window,
    rate: float,
    dtype: torch.dtype,
    shape: torch.Size,
    steps: tuple[int, ...],
    strides: tuple[int, ...],
    linear: bool,
) -> Loop | None:
    """Return the loop from a tensor with strides `steps` into one with `strides`; None: the twin serves."""
    if not AVAILABLE or not isinstance(drop.groups, Pattern) or not isinstance(rate, float | int):
        return None
    shape = tuple(shape)  # type: ignore[assignment]  # the core knows shapes as tuples
    kind = 0 if isinstance(drop.noise, TwoPoint) else _KINDS.get(type(drop.noise))
    if kind is None:
        return None
    way = walk(drop.groups, window, shape, steps, strides)
    if way.groups and way.groups[-1] > 1:
        # One draw takes a whole tile of them: they had better be asked for in their order. A mere decision,
        # which is cheaper, only where a row of them lies in the cache.
        ordered = walk(drop.groups, window, shape, steps, strides, logical=True)
        reach = ordered.sizes[-1] * max(ordered.steps[-1], ordered.strides[-1]) * dtype.itemsize
        way = ordered if kind or reach <= _CACHED else way
    if len(way.sizes) > _MOST_AXES:
        return None
    layout = _laid(way)
    if isinstance(drop.noise, TwoPoint):
        affine = drop.noise.affine(rate, drop.scale)
        shift, fill = (0.0, 0.0) if linear else (affine.shift, affine.fill)
        run = getattr(_native, f"_two_point_{_TYPES[dtype]}_at")
        return Loop(run, layout, (threshold(rate, torch), affine.scale, shift, fill))
    moments = drop.noise.moments(rate)
    numbers = kind, moments.mean, moments.variance**0.5
    return Loop(getattr(_native, f"_continuous_{_TYPES[dtype]}_at"), layout, numbers)


def _laid(way: Walk) -> Any:
    return _native.Layout(way.sizes, way.groups, way.base, way.steps, way.strides)


class NativeDraws(Draws):
    """Draws that come from the native loops, for every geometry and every type of entry."""

    @functools.cached_property
    def u(self) -> Any:
        """The u of every group, int64 below 2**32."""
        return self.layout.draw(torch, self.words, self.device, _drawer(second=False), address.uniform_at)

    def second(self) -> Any:
        """Return the second uniform of every group, int64 below 2**32."""
        return self.layout.draw(torch, self.words, self.device, _drawer(second=True), address.second_at)

    def below(self, rate: Any) -> Any:
        """Return which groups fall at this rate."""
        if not AVAILABLE or not isinstance(rate, float | int):
            return super().below(rate)
        layout = Layout(self.layout.shape, self.layout.strides, self.layout.base)
        return _fallen(layout, self.words, threshold(rate, torch))


def drawn_in_order(words: Words[int], start: int, count: int) -> torch.Tensor:
    """Return the u of groups that follow one another, int64 below 2**32."""
    drawn: torch.Tensor = _drawer(second=False)(torch, words, start, count, torch.device("cpu"))
    return drawn


def fallen_in_order(words: Words[int], start: int, count: int, number: int) -> torch.Tensor:
    """Return which of the groups that follow one another have a draw below a number."""
    if not AVAILABLE:
        return drawn_in_order(words, start, count) < number
    return _fallen(Layout((count,), (1,), start), words, number)


def _drawer(second: bool) -> Any:
    if AVAILABLE:
        return functools.partial(_run, second=second)
    return address.second if second else address.uniform


def _fallen(layout: Layout, words: Words[int], number: int) -> torch.Tensor:
    fallen = torch.empty(layout.sizes, dtype=torch.bool, device="cpu")
    _native.dropped(fallen.numpy(), _native_layout(layout), *words, number, torch.get_num_threads())
    return fallen


def _run(xp: Any, key: Words[int], start: int, count: int, device: Any, second: bool) -> torch.Tensor:
    """Draw for groups that follow one another: the native form of `address.uniform` and `address.second`."""
    drawn = torch.empty(count, dtype=torch.int64, device="cpu")
    _native.draw(drawn.numpy(), start, *key, second)
    return drawn


def _native_layout(layout: Layout) -> Any:
    collapsed = layout.collapse()
    return _native.Layout(collapsed.sizes, collapsed.strides, collapsed.base)
