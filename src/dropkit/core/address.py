"""The address of a draw: which bits of which Philox block decide about which group.

Version 1, pinned by golden values in `address_test.py` and written down in docs/address.md:

    key      k0 = low 32 bits of the key word, k1 = high 32 bits
    counter  c0 = low 32 bits of the block index, c1 = its high 30 bits | lane << 30, c2 = call, c3 = stream
    lanes    0 high halves, 1 low halves, 2 second uniforms, 3 folding of keys
    halves   group g takes block 8 * (g // 64) + g % 8, and there half-word j = (g % 64) // 8: word j // 2,
             its low 16 bits if j is even, else its high 16 bits
    u        (high half << 16) | low half: a whole number below 2**32; dropped iff u < threshold
    second   group g takes block 8 * (g // 32) + g % 8 of lane 2, and there word (g % 32) // 8

Eight neighbouring groups come from eight neighbouring blocks, so that a kernel that computes eight counters
in the lanes of a vector register has 64 decisions in order, without a transpose.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

from dropkit.core.philox import philox4x32

__all__ = ["VERSION", "Words", "fold_word", "second", "second_at", "uniform", "uniform_at"]

VERSION = 1

_HIGH, _LOW, _SECOND, _FOLD = range(4)
_MASK = 0xFFFFFFFF
Array = Any  # a NumPy array or a torch tensor of int64
T = TypeVar("T")


class Words(NamedTuple, Generic[T]):
    """The numbers of a key: ints, or 0-d int64 tensors where the key must stay on its device."""

    word: T
    call: T
    stream: T


def uniform(xp: Any, key: Words[Any], start: int, count: int, device: Any = None) -> Array:
    """Return u of the groups start ... start + count - 1, as int64 below 2**32.

    Args:
        xp: the module whose arrays are wanted: numpy or torch.
        key: the numbers of a key.
        start: the first group, 0 <= start < 2**63 - count.
        count: how many groups, at least 1.
        device: where the array lives; None for the module's default.

    >>> import numpy
    >>> [f"{u:08x}" for u in uniform(numpy, Words(42, 0, 0), 63, 2).tolist()]
    ['d9150205', '4f922d97']
    """
    high, low = (_run(xp, key, lane, start, count, device, _halves) for lane in (_HIGH, _LOW))
    return high << 16 | low


def second(xp: Any, key: Words[Any], start: int, count: int, device: Any = None) -> Array:
    """Return the second uniform of the groups start ... start + count - 1, as int64 below 2**32.

    >>> import numpy
    >>> [f"{u:08x}" for u in second(numpy, Words(42, 0, 0), 63, 2).tolist()]
    ['6f489c93', 'e244c7d5']
    """
    return _run(xp, key, _SECOND, start, count, device, tuple)


def uniform_at(xp: Any, key: Words[Any], group: Array) -> Array:
    """Return u of any groups: `uniform` for indices that do not follow one another.

    >>> import numpy
    >>> [f"{u:08x}" for u in uniform_at(numpy, Words(42, 0, 0), numpy.array([64, 63])).tolist()]
    ['4f922d97', 'd9150205']
    """
    high, low = (_pick(xp, key, lane, group, _halves) for lane in (_HIGH, _LOW))
    return high << 16 | low


def second_at(xp: Any, key: Words[Any], group: Array) -> Array:
    """Return the second uniform of any groups."""
    return _pick(xp, key, _SECOND, group, tuple)


def fold_word(key: Words[int]) -> int:
    """Return the 64-bit word that stands for a folded key when it is folded again.

    >>> fold_word(Words(42, 1, 3967884130))
    11216547821509828073
    """
    low, high, _, _ = _block(key, _FOLD, 0)
    return int(high) << 32 | int(low)


def _block(key: Words[Any], lane: int, block: Any) -> tuple[Any, Any, Any, Any]:
    counter = block & _MASK, block >> 32 | lane << 30, key.call, key.stream
    return philox4x32(counter, (key.word & _MASK, key.word >> 32 & _MASK))


def _halves(words: tuple[Array, ...]) -> tuple[Array, ...]:
    return tuple(half for word in words for half in (word & 0xFFFF, word >> 16))


def _run(xp: Any, key: Words[Any], lane: int, start: int, count: int, device: Any, split: Any) -> Array:
    """Draw whole tiles and cut the run out of them: one Philox block serves several groups."""
    tile = 64 if split is _halves else 32
    tiles = xp.arange(start // tile, -(-(start + count) // tile), device=device)
    blocks = 8 * tiles[:, None] + xp.arange(8, device=device)
    drawn = xp.stack(split(_block(key, lane, blocks)), 1).reshape(-1)
    return drawn[start % tile :][:count]


def _pick(xp: Any, key: Words[Any], lane: int, group: Array, split: Any) -> Array:
    """Draw one block for each group and pick the group's part of it."""
    tile = 64 if split is _halves else 32
    parts = split(_block(key, lane, 8 * (group // tile) + group % 8))
    place = group % tile // 8
    return sum(xp.where(place == i, part, 0) for i, part in enumerate(parts))
