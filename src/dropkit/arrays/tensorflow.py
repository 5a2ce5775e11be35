"""Dropout for TensorFlow's tensors: the addresses of `dropkit.core.address`, compiled by XLA.

TensorFlow has whole numbers of 64 bits and float64, as NumPy has, so the engine of the core runs as it is, on
the functions of `_Functions`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from dropkit.arrays.address import HIGH, LOW, MASK, SECOND, Address
from dropkit.arrays.unknown import Extents
from dropkit.core import rate as rates
from dropkit.core import reference
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import DropkitError, check_kind
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks, Draws, Groups, KofN
from dropkit.core.key import Key
from dropkit.core.mode import MODE, Mode, Scale
from dropkit.core.noise import Continuous, Noise
from dropkit.core.philox import MULTIPLIERS, ROUNDS, WEYL
from dropkit.core.reference import Arrays

__all__ = ["draws", "drop", "perturb", "words_of"]

Tensor = Any


class _Functions:
    """The functions of NumPy that the core asks for, on tensors, with shapes in which unknown sizes stand."""

    float64, int64 = tf.float64, tf.int64

    def __init__(self, extents: Extents) -> None:
        self.size = extents.size

    def asarray(self, values: Any, dtype: Any, device: Any = None) -> Tensor:
        return tf.cast(values, dtype) if tf.is_tensor(values) else tf.constant(values, dtype)

    def zeros(self, shape: tuple[int, ...], dtype: Any, device: Any = None) -> Tensor:
        return tf.zeros([self.size(n) for n in shape], dtype)

    def arange(self, stop: int, device: Any = None) -> Tensor:
        return tf.range(self.size(stop), dtype=tf.int64)

    def reshape(self, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        return tf.reshape(values, [self.size(n) for n in shape])

    def broadcast_to(self, values: Tensor, shape: tuple[int, ...]) -> Tensor:
        return tf.broadcast_to(values, [self.size(n) for n in shape])

    def moveaxis(self, values: Tensor, source: tuple[int, ...], target: tuple[int, ...]) -> Tensor:
        return tf.transpose(values, [source[target.index(axis)] for axis in range(len(source))])

    def where(self, condition: Tensor, yes: Any, no: Any) -> Tensor:
        dtype = next(each.dtype for each in (yes, no) if tf.is_tensor(each))
        return tf.where(condition, tf.cast(yes, dtype), tf.cast(no, dtype))

    def argsort(self, values: Tensor, axis: int, stable: bool = True) -> Tensor:
        return tf.cast(tf.argsort(values, axis=axis, stable=stable), tf.float64)

    sqrt, log, cos = staticmethod(tf.sqrt), staticmethod(tf.math.log), staticmethod(tf.cos)
    log1p, expm1 = staticmethod(tf.math.log1p), staticmethod(tf.math.expm1)


class _Draws(Draws):
    """The draws of one call; `words` is an `Address`."""

    @functools.cached_property
    def u(self) -> Tensor:
        """The draw u of every group, int64 below 2**32."""
        return self._lane(HIGH) * 2**16 + self._lane(LOW)

    def second(self) -> Tensor:
        """Return the second uniform of every group, int64 below 2**32."""
        return self._lane(SECOND)

    def falls(self, word: Tensor, rate: Any) -> Tensor:
        """Return which draws lie below the threshold of a rate, a number or a tensor."""
        if not tf.is_tensor(rate):
            return word < rates.threshold(rate, None)
        bound = tf.round(tf.cast(rate, tf.float64) * rates.ONE)
        # Only a rate of 1 reaches 2**32.
        bound = tf.where(rate == 1, bound, tf.clip_by_value(bound, 0.0, rates.ONE - 1.0))
        return word < tf.cast(bound, tf.int64)

    def _lane(self, lane: int) -> Tensor:
        words: Any = self.words
        return self.layout.draw(self.xp, words._replace(lane=lane), None, _run, _pick)


def _run(xp: Any, key: Address, start: int, count: int, device: Any) -> Tensor:
    """Draw whole tiles, seen as (tiles, word, half, block): nothing is stacked or transposed."""
    first, stop = start // key.tile, start + xp.size(count)
    tiles = tf.range(first, (stop + key.tile - 1) // key.tile, dtype=tf.int64)
    words = _philox(key, 8 * tiles[:, None] + tf.range(8, dtype=tf.int64))
    tall = tuple(word[:, None, None] for word in words)
    drawn = _chosen(tall, tf.range(4)[:, None, None])
    if key.lane != SECOND:
        drawn = _shifted(drawn, 16 * tf.range(2, dtype=tf.int64)[:, None]) & 0xFFFF
    return tf.reshape(drawn, [-1])[start % key.tile :][: xp.size(count)]


def _pick(xp: Any, key: Address, group: Tensor) -> Tensor:
    """Draw one block for each group and pick the group's part of it."""
    place = group % key.tile // 8
    words = _philox(key, 8 * (group // key.tile) + group % 8)
    if key.lane == SECOND:
        return _chosen(words, place)
    return _shifted(_chosen(words, place // 2), 16 * (place % 2)) & 0xFFFF


def _chosen(words: tuple[Tensor, ...], place: Tensor) -> Tensor:
    first, second, third, fourth = words
    return tf.where(place < 2, tf.where(place == 0, first, second), tf.where(place == 2, third, fourth))


def _philox(key: Address, block: Tensor) -> tuple[Tensor, ...]:
    nothing = tf.zeros_like(block)
    c0, c1 = block & MASK, _high(block) | key.lane << 30
    c2, c3, k0, k1 = key.call + nothing, key.stream + nothing, key.low, key.high
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = _high(p1) ^ c1 ^ k0, p1 & MASK, _high(p0) ^ c3 ^ k1, p0 & MASK
        k0, k1 = k0 + WEYL[0] & MASK, k1 + WEYL[1] & MASK
    return c0, c1, c2, c3


def _high(number: Tensor) -> Tensor:
    return _shifted(number, tf.constant(32, tf.int64)) & MASK


def _shifted(number: Tensor, bits: Tensor) -> Tensor:
    # A tensor has no operator for it.
    return tf.bitwise.right_shift(number, bits)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # it is untyped
def drop(
    x: tf.Tensor,
    rate: Any,
    groups: Any,
    noise: str | Noise,
    scale: Scale,
    sizes: Mapping[str, int],
    mode: Mode,
    key: Any,
    window: Window,
) -> tf.Tensor:
    """Drop entries of a TensorFlow tensor: `dropkit.drop` for TensorFlow.

    A key is an int, a `dropkit.Key`, a tensor of int64, or a seed of two numbers of 32 bits, its low word
    first. Without one, TensorFlow's generator gives it, at each call of a compiled function anew. A gradient
    draws again: only the key is kept for it. Sizes may be unknown until the function runs.

    >>> import dropkit
    >>> dropkit.drop(tf.ones((2, 4)), 0.5, "b t -> b", key=1).numpy()
    array([[2., 2., 2., 2.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    x = tf.convert_to_tensor(x)
    MODE.check("mode", mode)
    check_kind("window", window, Window, "write e.g. dropkit.Window((128,))")
    if not x.dtype.is_floating or x.dtype.size < 2:
        rule = "has a real floating type of 16 bits or more"
        raise DropkitError("x", rule, x.dtype.name, "convert it, e.g. tf.cast(x, 'float32')")
    description = Drop.of(rate, groups, noise, scale, sizes)
    shape = Extents(x, description, window).shape
    held = reference.entry_rate(description, shape)
    description.groups.layout(shape, window)
    if mode == "eval":
        return _evaluated(x, description, held)
    return perturb(x, description, words_of(key), window=window)


def words_of(key: Any) -> Tensor:
    """Return the numbers of a key as a tensor (low, high, call, stream) of int64.

    >>> words_of(Key(2**32 + 5)).numpy().tolist()
    [5, 1, 0, 0]
    """
    if key is None:
        key = tf.random.uniform((), tf.int64.min, tf.int64.max, tf.int64)
    if tf.is_tensor(key):
        return _tensor_key(key)
    word, call, stream = Key.of(key).words
    return tf.constant((word & MASK, word >> 32, call, stream), tf.int64)


def _tensor_key(key: Tensor) -> Tensor:
    whole = key.dtype.is_integer
    if whole and key.shape == (2,) and key.dtype.size == 4:
        low, high = tf.unstack(tf.cast(key, tf.int64) & MASK)
    elif whole and key.shape == () and key.dtype.size == 8:
        word = tf.bitcast(key, tf.int64)
        low, high = word & MASK, _high(word)
    else:
        rule, mend = "is one whole number of 64 bits or two of 32", "take e.g. tf.random.split(seed)[0]"
        raise DropkitError("key", rule, f"{key.dtype.name}{key.shape}", mend)
    nothing = tf.zeros((), tf.int64)
    return tf.stack((low, high, nothing, nothing))


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # it is untyped
def perturb(
    x: Tensor, description: Drop, words: Tensor, *, rate: Tensor | None = None, window: Window = WHOLE
) -> Tensor:
    """Drop entries as described; `rate`, a float32 tensor, takes the place of the number in the description.

    >>> perturb(tf.ones(4), Drop(0.5), words_of(7), rate=tf.constant(1.0)).numpy()
    array([0., 0., 0., 0.], dtype=float32)
    """
    moved = rate is not None

    def again(slope: Tensor) -> Tensor:
        return _linear(slope, words, held, description, window, moved)

    def forward(x: Tensor) -> Any:
        return _run_compiled(x, words, held, description, window, False, moved), again

    held = tf.zeros(()) if rate is None else tf.stop_gradient(tf.cast(rate, tf.float32))
    return tf.custom_gradient(forward)(x)


def _linear(x: Tensor, words: Tensor, held: Tensor, description: Drop, window: Window, moved: bool) -> Tensor:
    """Apply the gradient's map, which is its own derivative."""
    x = tf.convert_to_tensor(x)  # a lookup behind gives its slope as rows and their places

    def forward(x: Tensor) -> Any:
        y = _run_compiled(x, words, held, description, window, True, moved)
        return y, lambda slope: _linear(slope, words, held, description, window, moved)

    return tf.custom_gradient(forward)(x)


@tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]  # it is untyped
def draws(x: Tensor, groups: Groups, words: Tensor) -> Tensor:
    """Return u of every group, int64, for methods that decide by themselves: 1 along axes that share draws.

    >>> from dropkit.core.groups import Pattern
    >>> draws(tf.ones((2, 3)), Pattern("b t -> b"), words_of(42)).numpy().tolist()
    [[3248152260], [3631874400]]
    """
    return _compiled_draws(groups, tuple(x.shape.as_list()), x.dtype.name)(x, words)


@functools.lru_cache(maxsize=1024)
def _compiled_draws(groups: Groups, *kind: Any) -> Any:
    """Return the compiled function for a kind of tensor: TensorFlow warns where one is traced often."""

    def drawn(x: Tensor, words: Tensor) -> Tensor:
        arrays = _arrays(x, Drop(0.5, groups), WHOLE)
        address: Any = Address(*tf.unstack(words))
        return _Draws(arrays.xp, groups.layout(arrays.shape(x)), address, None).u

    return tf.function(drawn, jit_compile=True, autograph=False)


def _evaluated(x: Tensor, description: Drop, rate: Any) -> Tensor:
    wide = tf.cast(x, _width(x, description))
    mapped = reference.evaluate(wide, description, rate, arrays=_arrays(x, description, WHOLE))
    return x if mapped is wide else tf.cast(mapped, x.dtype)


@dataclass(frozen=True)
class _Transform:
    """What is compiled, an object for each kind of tensor: TensorFlow warns where one is traced often."""

    description: Drop
    window: Window
    linear: bool
    moved: bool
    dtype: str
    shape: tuple[int | None, ...]

    def __call__(self, x: Tensor, words: Tensor, held: Tensor) -> Tensor:
        description = self.description
        arrays = _arrays(x, description, self.window)
        wide = tf.cast(x, _width(x, description))
        rate = tf.cast(held, wide.dtype)
        if not self.moved:
            rate = reference.entry_rate(description, arrays.shape(x), arrays)
        address: Any = Address(*tf.unstack(words))
        y = reference.transform(
            wide, description, address, rate, window=self.window, linear=self.linear, arrays=arrays
        )
        return tf.ensure_shape(tf.cast(y, x.dtype), x.shape)


def _run_compiled(x: Tensor, words: Tensor, held: Tensor, *fields: Any) -> Tensor:
    return _compiled(*fields, x.dtype.name, tuple(x.shape.as_list()))(x, words, held)


@functools.lru_cache(maxsize=1024)
def _compiled(*kind: Any) -> Any:
    """Return the compiled function that a `_Transform` of these fields makes."""
    transform = _Transform(*kind)
    return tf.function(transform, jit_compile=True, autograph=False)


def _arrays(x: Tensor, description: Drop, window: Window) -> Arrays:
    extents = Extents(x, description, window)
    functions: Any = _Functions(extents)
    return Arrays(functions, None, _Draws, _share, lambda _: extents.shape)


def _share(gone: Tensor) -> Tensor:
    return tf.reduce_mean(tf.cast(gone, tf.float64))


def _width(x: Tensor, description: Drop) -> Any:
    """The type of the arithmetic: that of NumPy, where factors that are arrays are of float64."""
    groups, rate = description.groups, description.rate
    counted = isinstance(groups, KofN) or (isinstance(groups, Blocks) and groups.published)
    if counted or isinstance(description.noise, Continuous) or isinstance(rate, rates.PerAxis):
        return tf.float64
    return x.dtype if x.dtype.size > 4 else tf.float32
