"""The engine: a description, a shape and a key make a mask. On NumPy it is what all else must equal.

`xp` is the module whose arrays are wanted; the same lines serve `numpy` and, as the plain twin of the native
kernel, `torch`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from dropkit.core.address import Words
from dropkit.core.bind import WHOLE, Shape, Window, bind
from dropkit.core.check import DropkitError, Whole, check_each, check_kind
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Groups, Pattern, share
from dropkit.core.key import Key
from dropkit.core.mode import MODE, Mode, Scale
from dropkit.core.noise import Continuous, Gaussian, Noise, TwoPoint
from dropkit.core.rate import PerAxis

__all__ = [
    "Arrays",
    "apply",
    "check_fill",
    "draws",
    "drop",
    "dropped",
    "entry_rate",
    "evaluate",
    "keeping_signs",
    "mask",
    "masks",
    "multiplier",
    "normal",
    "passes",
    "transform",
    "unit",
]

Array = Any
_EXTENT = Whole(0, "give the size of each axis, e.g. (2, 3)")


class Arrays(NamedTuple):
    """How arrays are made: the module, the device, what draws, the share of true entries, and the shape."""

    xp: Any = np
    device: Any = None
    draws: type[Draws] = Draws
    share: Callable[[Any], Any] = share
    shape: Callable[[Any], Shape] = lambda x: tuple(x.shape)


_NUMPY = Arrays()


def entry_rate(drop: Drop, shape: Shape, arrays: Arrays = _NUMPY) -> Any:
    """Return the probability that an entry is dropped: a number, or an array that fits the split shape.

    Raises:
        DropkitError: the rate is a schedule, which needs a step, or learned, which needs a layer.

    >>> from dropkit.core.groups import KofN
    >>> entry_rate(Drop(None, KofN(2)), (4, 8))
    0.25
    """
    rate = drop.groups.rate(drop.rate, shape)
    if isinstance(rate, PerAxis):
        return _along(rate, drop, shape, arrays)
    if not isinstance(rate, float | int):
        mend = "write drop.at(step), or use the layer that moves the rate"
        raise DropkitError("rate", "is a number where it is applied", rate, mend)
    return rate


def dropped(
    drop: Drop,
    shape: Shape,
    words: Words[Any],
    rate: Any,
    window: Window = WHOLE,
    arrays: Arrays = _NUMPY,
) -> Array:
    """Return which entries are dropped, for a noise that decides: a bool array that broadcasts to `shape`.

    >>> dropped(Drop(0.5, "b t -> b"), (2, 3), Words(1, 0, 0), 0.5)
    array([[False],
           [ True]])
    """
    return _join(drop.groups.decide(_draws(drop, shape, words, window, arrays), rate), drop, shape, arrays)


def multiplier(
    drop: Drop,
    shape: Shape,
    words: Words[Any],
    rate: Any,
    window: Window = WHOLE,
    arrays: Arrays = _NUMPY,
) -> Array:
    """Return the factor m of every entry in float64: an array that broadcasts to `shape`.

    >>> multiplier(Drop(0.5, "b t -> b"), (2, 3), Words(1, 0, 0), 0.5)
    array([[2.],
           [0.]])
    """
    xp, noise = arrays.xp, drop.noise
    if isinstance(noise, Continuous):
        draws = _draws(drop, shape, words, window, arrays)
        return _join(noise.factor(xp, draws.u, draws.second, rate), drop, shape, arrays)
    gone = dropped(drop, shape, words, rate, window, arrays)
    nothing = xp.zeros((), dtype=xp.float64, device=arrays.device)
    affine = noise.affine(drop.groups.happened(gone, rate, arrays.share), drop.scale)
    scale = _join_rate(affine.scale, drop, shape, arrays)
    return xp.where(gone, nothing, nothing + scale)


def mask(
    key: int | Key, shape: Shape, drop: Drop, *, window: Window = WHOLE, dtype: Any = np.float64
) -> np.ndarray[Any, Any]:
    """Replay the mask of any call: the factor m of y = m x + b, 0 where an entry was dropped.

    Args:
        key: the key of the call.
        shape: the shape of the tensor that was dropped.
        drop: the description; a schedule must be brought to its step by `drop.at(step)`.
        window: the place of the tensor inside a larger one.
        dtype: the type of the result.

    Raises:
        DropkitError: an argument is of another kind, or the shape does not fit the groups.

    >>> mask(7, (2, 3), Drop(0.5))
    array([[0., 0., 0.],
           [0., 2., 2.]])
    """
    shape = check_each("shape", shape, _EXTENT)
    check_kind("drop", drop, Drop, "describe the dropout, e.g. dropkit.Drop(0.5)")
    check_kind("window", window, Window, "write e.g. dropkit.Window((128,))")
    if key is None:
        raise DropkitError("key", "must be an int or a dropkit.Key", key, "give the key of the call")
    if not _is_floating(dtype):
        raise DropkitError("dtype", "is a real floating type of NumPy", dtype, "write e.g. 'float32'")
    rate = entry_rate(drop, shape)
    m = multiplier(drop, shape, Key.of(key).words, rate, window)
    return np.broadcast_to(m, shape).astype(dtype)


def masks(key: int | Key, shape: Shape, drop: Drop, steps: int) -> np.ndarray[Any, Any]:
    """Replay the masks of a description on a schedule, one for each of its first steps: `(steps, *shape)`.

    Args:
        key: the key of the run; each step folds it.
        shape: the shape of the tensor that is dropped at each step.
        drop: the description.
        steps: how many steps are replayed.

    >>> from dropkit.core.schedule import Early
    >>> masks(7, (3,), Drop(Early(1.0, 1)), 2)
    array([[0., 0., 0.],
           [1., 1., 1.]])
    """
    key = Key.of(key)
    return np.stack([mask(key.fold("step", step), shape, drop.at(step)) for step in range(steps)])


def passes(key: int | Key, count: int, shape: Shape, drop: Drop) -> np.ndarray[Any, Any]:
    """Return the masks of several passes of one batch, stacked: the i-th under `key.fold("pass", i)`.

    >>> passes(7, 2, (3,), Drop(0.5)).shape
    (2, 3)
    """
    return np.stack([mask(Key.of(key).fold("pass", i), shape, drop) for i in range(count)])


def draws(key: int | Key, shape: Shape, groups: Groups | str = "...") -> Draws:
    """Return the draws of a call, for methods that decide by themselves: `.u`, `.second()`, `.below(rate)`.

    Args:
        key: the key of the call.
        shape: of the array whose entries are grouped.
        groups: which entries share a draw: a pattern, `Blocks` or `KofN`.

    >>> draws(42, (2, 3), "b t -> b").u.tolist()
    [[3248152260], [3631874400]]
    """
    rule = groups if isinstance(groups, Groups) else Pattern(groups)
    return Draws(np, rule.layout(tuple(shape)), Key.of(key).words)


def unit(key: int | Key, shape: Shape, groups: Groups | str = "...") -> np.ndarray[Any, Any]:
    """Return uniform draws in (0, 1): (u + 1/2) / 2**32, one for each group.

    >>> unit(42, (2,)).round(3).tolist()
    [0.756, 0.846]
    """
    return np.asarray((draws(key, shape, groups).u + 0.5) / 2.0**32)


def normal(key: int | Key, shape: Shape, groups: Groups | str = "...") -> np.ndarray[Any, Any]:
    """Return standard normal draws, those of `dropkit.core.noise.Gaussian`, one for each group.

    >>> normal(42, (2,)).round(3).tolist()
    [-0.321, -0.033]
    """
    drawn = draws(key, shape, groups)
    return np.asarray(Gaussian().standard(np, drawn.u, drawn.second))


def _is_floating(dtype: Any) -> bool:
    try:
        return bool(np.issubdtype(np.dtype(dtype), np.floating))
    except TypeError:
        return False


def transform(
    x: Array,
    drop: Drop,
    words: Words[Any],
    rate: Any,
    *,
    window: Window = WHOLE,
    fill: Array | None = None,
    linear: bool = False,
    arrays: Arrays = _NUMPY,
) -> Array:
    """Return y = m x + b for an array whose type is wide enough to compute in.

    `linear` leaves b out: the gradient's map. A dropped entry is replaced, not multiplied: infinities and NaN
    do not survive it.

    >>> transform(np.full((2, 2), np.inf), Drop(0.5, "b t -> b"), Words(1, 0, 0), 0.5)
    array([[inf, inf],
           [ 0.,  0.]])
    """
    shape, noise = arrays.shape(x), drop.noise
    if isinstance(noise, Continuous):
        m = multiplier(drop, shape, words, rate, window, arrays)
        return arrays.xp.where(m == 0, 0.0, x) * m
    assert isinstance(noise, TwoPoint)
    gone = dropped(drop, shape, words, rate, window, arrays)
    affine = noise.affine(drop.groups.happened(gone, rate, arrays.share), drop.scale)
    scale, shift, floor = (_join_rate(part, drop, shape, arrays) for part in affine)
    if linear:
        return arrays.xp.where(gone, 0.0, x * scale)
    if fill is not None:
        return arrays.xp.where(gone, fill, x * scale + (1 - scale) * fill)
    return arrays.xp.where(gone, floor, x * scale + keeping_signs(arrays.xp, shift))


def keeping_signs(xp: Any, shift: Any) -> Any:
    """Return what to add in place of a shift: -0 for 0, which would take the sign of -0.

    >>> -0.0 + keeping_signs(np, 0.0)
    -0.0
    """
    return (shift or -0.0) if isinstance(shift, float | int) else xp.where(shift == 0, -0.0, shift)


def evaluate(x: Array, drop: Drop, rate: Any, fill: Array | None = None, arrays: Arrays = _NUMPY) -> Array:
    """Return the eval map of the noise: `x` itself where that is the identity.

    >>> evaluate(np.ones(2), Drop(0.25, scale="eval"), 0.25)
    array([0.75, 0.75])
    """
    factor = drop.noise.eval_factor(rate, drop.scale)
    if isinstance(factor, float) and factor == 1.0:
        return x
    factor = _join_rate(factor, drop, arrays.shape(x), arrays)
    return x * factor if fill is None else x * factor + (1 - factor) * fill


def check_fill(drop: Drop) -> None:
    """Refuse `fill` under a noise that says itself what a dropped entry becomes."""
    if drop.noise.name != "bernoulli":
        raise DropkitError("fill", "goes with noise 'bernoulli'", drop.noise.name, "leave fill out")


def drop(
    x: np.ndarray[Any, Any],
    rate: Any,
    groups: Any,
    noise: str | Noise,
    scale: Scale,
    sizes: Mapping[str, int],
    mode: Mode,
    key: int | Key | None,
    window: Window,
) -> np.ndarray[Any, Any]:
    """Drop entries of a NumPy array: `dropkit.drop` for NumPy."""
    return apply(x, Drop.of(rate, groups, noise, scale, sizes), key, mode, window)


def apply(
    x: np.ndarray[Any, Any],
    drop: Drop,
    key: int | Key | None = None,
    mode: Mode = "train",
    window: Window = WHOLE,
    fill: np.ndarray[Any, Any] | None = None,
) -> np.ndarray[Any, Any]:
    """Drop entries of a NumPy array as described.

    Where the eval map is the identity, mode "eval" returns `x` itself. With `fill`, a dropped entry becomes
    the entry of `fill`, and scale "train" gives the kept ones (x - rate fill) / (1 - rate), so that the mean
    is x.

    Args:
        x: any shape, of a real floating type; float16 is computed in float32.
        drop: the description; a schedule must be brought to its step by `drop.at(step)`.
        key: the address of the draws; None takes fresh entropy.
        mode: "train" and "mc" draw, "eval" applies the noise's eval map.
        window: the place of x inside a larger array.
        fill: what a dropped entry becomes, under noise "bernoulli"; broadcasts to x.

    Raises:
        DropkitError: x is not of a floating type, or does not fit the groups.

    >>> apply(np.ones(4), Drop(0.5), key=7)
    array([0., 0., 0., 0.])
    """
    MODE.check("mode", mode)
    check_kind("window", window, Window, "write e.g. dropkit.Window((128,))")
    if not np.issubdtype(x.dtype, np.floating):
        raise DropkitError("x", "has a real floating type", x.dtype, "convert it, e.g. x.astype('float32')")
    if fill is not None:
        check_fill(drop)
        _check_broadcast(fill, x.shape)
    if key is not None:
        key = Key.of(key)
    rate = entry_rate(drop, x.shape)
    # A factor of 1 / 0.9 would be 1.111 in float16: arithmetic happens in float32 at least.
    wide = x.astype(np.promote_types(x.dtype, np.float32), copy=False)
    if fill is not None:
        fill = np.asarray(fill).astype(wide.dtype, copy=False)
    if mode == "eval":
        drop.groups.layout(x.shape, window)
        mapped = evaluate(wide, drop, rate, fill)
        return x if mapped is wide else mapped.astype(x.dtype)
    y = transform(wide, drop, Key.of(key).words, rate, window=window, fill=fill)
    return np.asarray(y, dtype=x.dtype)


def _check_broadcast(fill: np.ndarray[Any, Any], shape: Shape) -> None:
    try:
        np.broadcast_to(fill, shape)
    except ValueError as error:
        rule = f"broadcasts to x of shape {shape}"
        raise DropkitError("fill", rule, np.shape(fill), "give an entry for each of x") from error


def _draws(drop: Drop, shape: Shape, words: Words[Any], window: Window, arrays: Arrays) -> Draws:
    layout = drop.groups.layout(shape, window)
    return arrays.draws(arrays.xp, layout, words, arrays.device)


def _along(rate: PerAxis, drop: Drop, shape: Shape, arrays: Arrays) -> Array:
    groups = drop.groups
    sizes = bind(groups.parsed, groups.sizes, shape)
    place = next(i for i, axis in enumerate(sizes) if axis.name == rate.over)
    if len(rate.rates) != sizes[place].size:
        rule = f"has one rate for each of the {sizes[place].size} places of axis {rate.over!r}"
        raise DropkitError("rates", rule, len(rate.rates), "give as many rates as the axis has entries")
    rates_along = arrays.xp.asarray(rate.rates, dtype=arrays.xp.float64, device=arrays.device)
    return arrays.xp.reshape(rates_along, (-1,) + (1,) * (len(sizes) - place - 1))


def _join(values: Array, drop: Drop, shape: Shape, arrays: Arrays) -> Array:
    """Close the brackets again: from the split shape to one that broadcasts to `shape`."""
    split = drop.groups.split(shape)
    if split == tuple(shape):
        return values
    return arrays.xp.reshape(arrays.xp.broadcast_to(values, split), shape)


def _join_rate(value: Any, drop: Drop, shape: Shape, arrays: Arrays) -> Any:
    return value if isinstance(value, float | int) else _join(value, drop, shape, arrays)
