"""The arrays that methods are examined with: values that tell, and every way to lie in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dropkit.testing.declared import Declared

__all__ = ["LAYOUTS", "expanded", "flipped", "normal", "rotated", "strided", "telling"]

Array = np.ndarray[Any, Any]
_SEED = 20_141


def normal(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Return standard normal numbers: no two alike, and none of them 0.

    Args:
        shape: any shape.
        seed: another one gives other numbers.
    """
    return np.random.default_rng(_SEED + seed).standard_normal(shape)


def telling(declared: Declared, shape: tuple[int, ...]) -> Array:
    """Return values by which nobody can tell whether an entry was dropped, mixed with normal numbers.

    They are zeros of both signs, equal numbers, and numbers whose image scale x + shift is the very fill or
    lies a rounding beside it.

    Args:
        declared: what the method says of itself.
        shape: any shape.

    >>> x = telling(Declared(0.5, (64,), (1,), scale=2.0, shift=1.0, fill=-3.0), (64,))
    >>> bool((x == -2).any()), bool((x == 0).any())
    (True, True)
    """
    image = (declared.fill - declared.shift) / (declared.scale or 1.0)
    beside = [math.nextafter(image, side) for side in (-math.inf, math.inf)]
    rng = np.random.default_rng(_SEED)
    chosen = rng.choice([0.0, -0.0, 1.0, image, *beside, math.nan], shape)
    return np.where(np.isnan(chosen), rng.standard_normal(shape), chosen)


def rotated(x: Array) -> Array:
    """Return the same values with the second axis last in memory: channels last."""
    order = (0, *range(2, x.ndim), 1) if x.ndim > 1 else tuple(range(x.ndim))
    back = tuple(int(i) for i in np.argsort(order))
    return np.ascontiguousarray(x.transpose(order)).transpose(back)


def strided(x: Array) -> Array:
    """Return the same values as every second entry of a longer array."""
    return np.repeat(x, 2, axis=-1)[..., ::2]


def flipped(x: Array) -> Array:
    """Return the same values, read backwards along every axis."""
    return np.ascontiguousarray(np.flip(x))[(slice(None, None, -1),) * x.ndim]


def expanded(x: Array) -> Array:
    """Return the first value at every place, by strides of 0: the gradient of a sum."""
    return np.lib.stride_tricks.as_strided(x, strides=(0,) * x.ndim)


LAYOUTS: tuple[Callable[[Array], Array], ...] = (np.asfortranarray, rotated, strided, flipped, expanded)
"""Ways to lie in memory other than row by row."""
