"""Dropout for JAX arrays: the addresses of `dropkit.core.address` in words of 32 bits, compiled by XLA.

JAX has no whole numbers of 64 bits by default, so a block index, a group and a key are pairs of words, and
sums carry from the low one to the high one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from dropkit.arrays.address import HIGH, LOW, MASK, SECOND, Address
from dropkit.core import rate as rates
from dropkit.core import reference
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import DropkitError, check_kind
from dropkit.core.drop import Drop
from dropkit.core.groups import Draws, Groups
from dropkit.core.key import Key
from dropkit.core.layout import Layout
from dropkit.core.mode import MODE, Mode, Scale
from dropkit.core.noise import Noise
from dropkit.core.philox import MULTIPLIERS, ROUNDS, WEYL
from dropkit.core.reference import Arrays

__all__ = ["address_of", "drop", "perturb", "words"]

Array = Any


class Pair(NamedTuple):
    """A whole number of 64 bits as two words."""

    low: Array
    high: Array

    @classmethod
    def of(cls, numbers: Any) -> Pair:
        """Split numbers below 2**63 on the host."""
        whole = np.asarray(numbers, np.int64)
        return cls(
            jnp.asarray((whole & MASK).astype(np.uint32)), jnp.asarray((whole >> 32).astype(np.uint32))
        )

    def plus(self, other: Pair) -> Pair:
        """Return the sum, with its carry."""
        low = self.low + other.low
        return Pair(low, self.high + other.high + (low < self.low).astype(jnp.uint32))


class JaxDraws(Draws):
    """The draws of one call as words of 32 bits; `words` is an `Address`."""

    @functools.cached_property
    def u(self) -> Array:
        """The draw u of every group, uint32."""
        return self._lane(HIGH) << 16 | self._lane(LOW)

    def second(self) -> Array:
        """Return the second uniform of every group, uint32."""
        return self._lane(SECOND)

    def falls(self, word: Array, rate: Any) -> Array:
        """Return which draws lie below the threshold of a rate: a float32 that moves, or one of the host."""
        if isinstance(rate, jax.Array):
            # Powers of two are exact: only a rate of 1 would not fit into a word.
            below = jnp.round(jnp.minimum(rate, 1 - 2.0**-24) * float(rates.ONE)).astype(jnp.uint32)
            return (word < below) | (rate == 1)
        bound = np.asarray(rates.threshold(rate, np), np.float64)
        # Only a rate of 1 has a threshold that is no word.
        return (word < np.minimum(bound, MASK).astype(np.uint32)) | (bound > MASK)

    def _lane(self, lane: int) -> Array:
        words: Any = self.words
        return _Layout.of(self.layout).draw(jnp, words._replace(lane=lane), None, _run, _pick)


class _Layout(Layout):
    """A layout whose groups are pairs of words."""

    @classmethod
    def of(cls, layout: Layout) -> _Layout:
        return cls(layout.sizes, layout.strides, layout.base)

    def _groups(self, xp: Any, device: Any) -> Pair:
        index = Pair.of(np.full((1,) * len(self.sizes), self.base))
        for axis, (size, stride) in enumerate(zip(self.shape, self.strides, strict=True)):
            tail = (1,) * (len(self.sizes) - axis - 1)
            index = index.plus(Pair.of((np.arange(size) * stride).reshape((-1, *tail))))
        return index


def _run(xp: Any, key: Address, start: int, count: int, device: Any) -> Array:
    """Draw whole tiles, seen as (tiles, word, half, block): nothing is stacked or transposed."""
    first, last = start // key.tile, -(-(start + count) // key.tile)
    offset = 8 * lax.iota(jnp.uint32, last - first)[:, None] + lax.iota(jnp.uint32, 8)
    block = Pair.of(8 * first).plus(Pair(offset, jnp.zeros_like(offset)))
    # Without the barrier XLA computes the block of every group anew.
    words = lax.optimization_barrier(_philox(key, block))  # type: ignore[no-untyped-call]  # it is untyped
    tall = tuple(word[:, None, None] for word in words)
    drawn = _chosen(tall, lax.iota(jnp.uint32, 4)[:, None, None])
    if key.lane != SECOND:
        drawn = drawn >> 16 * lax.iota(jnp.uint32, 2)[:, None] & 0xFFFF
    return drawn.reshape(-1)[start % key.tile :][:count]


def _pick(xp: Any, key: Address, group: Pair) -> Array:
    """Draw one block for each group and pick the group's part of it."""
    bits = key.tile.bit_length() - 1
    tile = Pair(group.low >> bits | group.high << (32 - bits), group.high >> bits)
    block = Pair(tile.low << 3 | group.low & 7, tile.high << 3 | tile.low >> 29)
    place = group.low >> 3 & (key.tile // 8 - 1)
    words = _philox(key, block)
    if key.lane == SECOND:
        return _chosen(words, place)
    return _chosen(words, place >> 1) >> 16 * (place & 1) & 0xFFFF


def _chosen(words: tuple[Array, ...], place: Array) -> Array:
    first, second, third, fourth = words
    return jnp.where(place < 2, jnp.where(place == 0, first, second), jnp.where(place == 2, third, fourth))


def _philox(key: Address, block: Pair) -> tuple[Array, ...]:
    c0, c1 = block.low, block.high | np.uint32(key.lane << 30)
    c2, c3 = jnp.broadcast_to(key.call, c0.shape), jnp.broadcast_to(key.stream, c0.shape)
    c1, k0, k1 = jnp.broadcast_to(c1, c0.shape), key.low, key.high
    m0, m1 = (jnp.full_like(c0, number) for number in MULTIPLIERS)
    # XLA's partitioner, which serves several devices, cannot read the instruction.
    high = lax.mulhi if jax.device_count() == 1 else _high_product
    for _ in range(ROUNDS):
        c0, c1, c2, c3 = high(c2, m1) ^ c1 ^ k0, c2 * m1, high(c0, m0) ^ c3 ^ k1, c0 * m0
        k0, k1 = k0 + np.uint32(WEYL[0]), k1 + np.uint32(WEYL[1])
    return c0, c1, c2, c3


def _high_product(a: Array, b: Array) -> Array:
    """Return the upper word of a product of two words, by their halves."""
    (a0, a1), (b0, b1) = ((word & 0xFFFF, word >> 16) for word in (a, b))
    middle = a1 * b0 + (a0 * b0 >> 16)
    return a1 * b1 + (middle >> 16) + ((middle & 0xFFFF) + a0 * b1 >> 16)


_ARRAYS = Arrays(jnp, None, JaxDraws, lambda gone: gone.sum().astype(jnp.float32) / max(gone.size, 1))


def drop(
    x: jax.Array,
    rate: Any,
    groups: Any,
    noise: str | Noise,
    scale: Scale,
    sizes: Mapping[str, int],
    mode: Mode,
    key: Any,
    window: Window,
) -> jax.Array:
    """Drop entries of a JAX array: `dropkit.drop` for JAX.

    A key is an int, a `dropkit.Key`, or one of JAX's own keys of two words, which may be traced:
    `jax.random.key(n)` gives the mask of n. Under a transformation it must be given. A gradient draws again:
    only the key is kept for it.

    >>> import dropkit
    >>> dropkit.drop(jnp.ones((2, 4)), 0.5, "b t -> b", key=jax.random.key(1))
    Array([[2., 2., 2., 2.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    MODE.check("mode", mode)
    check_kind("window", window, Window, "write e.g. dropkit.Window((128,))")
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype.itemsize < 2:
        rule = "has a real floating type of 16 bits or more"
        raise DropkitError("x", rule, x.dtype, "convert it, e.g. x.astype('float32')")
    description = Drop.of(rate, groups, noise, scale, sizes)
    held = reference.entry_rate(description, x.shape)
    description.groups.layout(x.shape, window)
    if mode == "eval":
        return _evaluated(x, description, held)
    return perturb(x, description, _address(x, key), window=window)


def perturb(
    x: jax.Array,
    description: Drop,
    address: Address,
    *,
    rate: jax.Array | None = None,
    window: Window = WHOLE,
) -> jax.Array:
    """Drop entries as described; `rate`, a float32, takes the place of the number in the description.

    >>> perturb(jnp.ones(4), Drop(0.5), address_of(7), rate=jnp.asarray(1.0))
    Array([0., 0., 0., 0.], dtype=float32)
    """
    return x if x.size == 0 else _dropped(description, window, x, address, rate)


@functools.partial(jax.jit, static_argnums=(0, 1))
def words(shape: tuple[int, ...], groups: Groups, address: Address) -> jax.Array:
    """Return u of every group, uint32, for methods that decide by themselves: 1 along axes that share draws.

    >>> from dropkit.core.groups import Pattern
    >>> words((2, 3), Pattern("b t -> b"), address_of(42)[:4]).tolist()
    [[3248152260], [3631874400]]
    """
    words: Any = Address(*address[:4])
    u: jax.Array = JaxDraws(jnp, groups.layout(shape), words, None).u
    return u


def address_of(key: int | Key) -> Address:
    """Return the address of an int or a `dropkit.Key`.

    >>> [int(word) for word in address_of(2**32 + 5)]
    [5, 1, 0, 0, 0]
    """
    word, *place = Key.of(key).words
    call, stream = map(np.uint32, place)
    return Address(np.uint32(word & MASK), np.uint32(word >> 32), call, stream)


def _evaluated(x: jax.Array, description: Drop, rate: Any) -> jax.Array:
    mapped = reference.evaluate(_wide(x), description, rate, arrays=_ARRAYS)
    return x if mapped is x else jnp.asarray(mapped, x.dtype)


def _address(x: jax.Array, key: Any) -> Address:
    if isinstance(key, jax.Array | np.ndarray):
        return _own_key(key)
    # What is made inside a compiled function is traced even where x comes from outside.
    if key is None and any(isinstance(each, jax.core.Tracer) for each in (x, jnp.zeros(()))):
        rule = "is given under a transformation, which would keep one mask for ever"
        raise DropkitError("key", rule, None, "split one with jax.random.split and pass it, e.g. key=key")
    return address_of(key)


def _own_key(key: Any) -> Address:
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    data = jax.random.key_data(key) if typed else key
    if data.shape != (2,) or data.dtype != jnp.uint32:
        rule, mend = "has two words of 32 bits", "take jax.random.key(seed, impl='threefry2x32')"
        raise DropkitError("key", rule, f"{data.dtype}{list(data.shape)}", mend)
    return Address(data[1], data[0], np.uint32(0), np.uint32(0))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _dropped(
    description: Drop, window: Window, x: jax.Array, address: Address, rate: jax.Array | None = None
) -> jax.Array:
    return _mapped(description, window, x, tuple(address)[:4], rate)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _mapped(
    description: Drop, window: Window, x: jax.Array, words: tuple[Array, ...], rate: jax.Array | None
) -> jax.Array:
    return _transformed(description, window, x, words, rate, False)


@_mapped.defjvp
def _derived(description: Drop, window: Window, inputs: Any, slopes: Any) -> Any:
    x, words, rate = inputs

    # Nothing but the key is kept for the way back: there the map, which is linear, is drawn again. XLA may
    # draw once where both ways meet in one loop.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def linear(slope: jax.Array, words: tuple[Array, ...], rate: jax.Array | None) -> jax.Array:
        return _transformed(description, window, slope, words, rate, True)

    return _mapped(description, window, x, words, rate), linear(slopes[0], words, rate)


def _transformed(
    description: Drop,
    window: Window,
    x: jax.Array,
    words: tuple[Array, ...],
    rate: jax.Array | None,
    linear: bool,
) -> jax.Array:
    held = reference.entry_rate(description, x.shape) if rate is None else rate
    address: Any = Address(*words)
    y = reference.transform(
        _wide(x), description, address, held, window=window, linear=linear, arrays=_ARRAYS
    )
    return jnp.asarray(y, x.dtype)


def _wide(x: jax.Array) -> jax.Array:
    """Arithmetic happens in float32 at least: a factor of 1 / 0.9 would be 1.109 in bfloat16."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
