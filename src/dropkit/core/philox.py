"""Philox4x32, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3".

Published at SC 2011, https://doi.org/10.1145/2063384.2063405, with known answers in the authors' Random123.
Written with operators alone, on 64-bit signed integers whose products wrap, so that the same lines run on
Python integers, NumPy arrays and torch tensors.
"""

from __future__ import annotations

from typing import Any

__all__ = ["MULTIPLIERS", "ROUNDS", "WEYL", "philox4x32"]

ROUNDS = 7  # the authors' smallest Crush-resistant number; 10 is their default with a margin

_MASK = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85

Words = Any  # int, or an integer array of any framework, holding 32-bit words


def philox4x32(
    counter: tuple[Words, Words, Words, Words], key: tuple[Words, Words], rounds: int = ROUNDS
) -> tuple[Words, Words, Words, Words]:
    """Return the four 32-bit words of one counter under one key.

    >>> [f"{word:08x}" for word in philox4x32((0, 0, 0, 0), (0, 0), rounds=10)]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1, c2, c3 = _high(p1) ^ c1 ^ k0, p1 & _MASK, _high(p0) ^ c3 ^ k1, p0 & _MASK
        k0, k1 = (k0 + WEYL[0]) & _MASK, (k1 + WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _high(product: Words) -> Words:
    # The sign bit that an arithmetic shift of a wrapped product smears over the top is masked away.
    return (product >> 32) & _MASK
