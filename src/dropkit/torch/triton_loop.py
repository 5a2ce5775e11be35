"""The way to the Triton loops: which calls they can serve, and with which numbers."""

from __future__ import annotations

import functools
import importlib.util
import struct
from typing import Any, NamedTuple

import torch

from dropkit.core import noise as noises
from dropkit.core.address import Words
from dropkit.core.bind import Window
from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.rate import ONE, threshold
from dropkit.core.reference import keeping_signs
from dropkit.core.walk import Walk, walk

__all__ = ["AVAILABLE", "Plan", "plan", "run"]

Tensor = torch.Tensor
AVAILABLE = importlib.util.find_spec("triton") is not None

_TILES, _BLOCK = 64, 512
_NEAR = 2**31 - 2**16  # so far a place in memory fits into 32 bits
_KINDS = {noises.Gaussian: 1, noises.Uniform: 2}


class Plan(NamedTuple):
    """One shape's walk, and which noise the kernel computes."""

    walk: Walk
    kind: int


@functools.lru_cache(maxsize=4096)
def plan(
    drop: Drop, window: Window, shape: tuple[int, ...], steps: tuple[int, ...], strides: tuple[int, ...]
) -> Plan | None:
    """Return the walk from an array with strides `steps` into one with `strides`; None: no kernel serves."""
    kind = 0 if isinstance(drop.noise, noises.TwoPoint) else _KINDS.get(type(drop.noise))
    if not isinstance(drop.groups, Pattern) or kind is None:
        return None
    return Plan(walk(drop.groups, window, shape, steps, strides), kind)


def run(
    x: Tensor,
    out: Tensor,
    words: Words[Any],
    drop: Drop,
    plan: Plan,
    rate: float | None,
    scheduled: Tensor | None,
    linear: bool,
) -> Tensor:
    """Write m x + b (m x alone where `linear`) into `out`; the key's numbers stay on the device."""
    from dropkit.torch import triton_kernels as kernels

    count = x.numel()
    if not count:
        return out
    key, folded = _key(words)
    if scheduled is not None:
        affine = _on_device(drop, scheduled, plan.kind, linear)
        numbers = (affine, scheduled, 0, 0, 0, 0, 0)
    else:
        assert rate is not None
        numbers = (key, key, *_bits(drop, rate, plan.kind, linear), *divmod(threshold(rate, torch), 2**16))
    constants = {
        "FOLDED": folded,
        "SCHEDULED": scheduled is not None,
        # A product and a sum rounded once would differ from those of the CPU.
        "enable_fp_fusion": False,
        "WIDE": kernels.WIDEST if x.dtype == torch.float64 else kernels.WIDE,
    }
    if plan.walk.dense:
        grid = (-(-(count + plan.walk.base % 64) // (64 * _TILES)),)
        arguments = x, out, key, *numbers, plan.walk.base, count
        if plan.kind:
            kernels.continuous_tiles[grid](*arguments, NOISE=plan.kind, TILES=_TILES, **constants)
        else:
            place = {"LARGE": count > _NEAR, "ALIGNED": plan.walk.base % 64 == 0}
            kernels.tiles[grid](*arguments, TILES=_TILES, **place, **constants)
        return out
    grid = (-(-count // _BLOCK),)
    walks = plan.walk[1:]
    kernels.entries[grid](
        x,
        out,
        key,
        *numbers,
        plan.walk.base,
        count,
        *walks,
        NOISE=plan.kind,
        AXES=len(plan.walk.sizes),
        LARGE=count > _NEAR,
        BLOCK=_BLOCK,
        **constants,
    )
    return out


def _key(words: Words[Any]) -> tuple[Tensor, bool]:
    """Return where the key's numbers lie, one behind the other, and whether call and stream do."""
    if not isinstance(words.call, Tensor):
        return words.word, False
    places = [word.data_ptr() - words.word.data_ptr() for word in words]
    return words.word if places == [0, 8, 16] else torch.stack(list(words)), True


def _affine(drop: Drop, rate: Any, kind: int, linear: bool) -> tuple[Any, Any, Any]:
    """Scale, shift and fill; for a continuous noise its deviation and its mean."""
    if kind:
        moments = drop.noise.moments(rate)
        return moments.variance**0.5, moments.mean, 0.0
    assert isinstance(drop.noise, noises.TwoPoint)
    scale, shift, fill = drop.noise.affine(rate, drop.scale)
    shift, fill = (0.0, 0.0) if linear else (shift, fill)
    return scale, keeping_signs(torch, shift), fill


@functools.lru_cache(maxsize=4096)
def _bits(drop: Drop, rate: float, kind: int, linear: bool) -> tuple[int, ...]:
    # A launch rounds a float to float32; as a whole number it arrives unharmed.
    return tuple(
        struct.unpack("<q", struct.pack("<d", part))[0] for part in _affine(drop, rate, kind, linear)
    )


def _on_device(drop: Drop, scheduled: Tensor, kind: int, linear: bool) -> Tensor:
    rate = scheduled.to(torch.float64) / ONE
    parts = _affine(drop, rate, kind, linear)
    return torch.stack([part if isinstance(part, Tensor) else rate.new_tensor(part) for part in parts])
