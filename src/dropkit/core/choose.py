"""Choices among the draws of one row: who falls where one must stay, and who is first in the order."""

from __future__ import annotations

from typing import Any

__all__ = ["fallen", "kept_count", "kept_places", "places", "ranks"]

Array = Any


def fallen(u: Array, word: Any, xp: Any, able: Array | None = None) -> Array:
    """Return which draws lie below a threshold, but for the largest of each row: one always stays.

    u < min(word, largest u of the row). An entry falls with probability rate - rate**n / n, where n of the
    row are able to stay. A higher threshold drops what a lower one does, and more.

    Args:
        u: whole numbers below 2**32, int64; a row is the last axis.
        word: the threshold of the rate, see `dropkit.core.rate.threshold`.
        xp: the module of the arrays, numpy or torch.
        able: which entries count as one that stays; all, if left out. A row without any loses nothing.

    >>> import numpy
    >>> fallen(numpy.array([[5, 9, 7]]), 2**32, numpy)
    array([[ True, False,  True]])
    """
    top = xp.amax(u if able is None else xp.where(able, u, -1), -1)
    return (u < word) & (u < top[..., None])


def ranks(u: Array, able: Array, xp: Any) -> Array:
    """Return the place of each draw in the order of its row, 0 for the smallest; who is not able comes last.

    >>> import numpy
    >>> ranks(numpy.array([[5, 9, 7]]), numpy.array([[False, True, True]]), numpy)
    array([[2, 1, 0]])
    """
    n = u.shape[-1]
    # Equal draws keep the order of their places, as KofN does.
    unique = xp.where(able, u, 2**32) * n + xp.arange(n, device=u.device)
    return xp.argsort(xp.argsort(unique, -1), -1)


def places(kept: Array, count: int, xp: Any) -> Array:
    """Return where the first `count` kept entries of each row stand, in their order.

    >>> import numpy
    >>> places(numpy.array([[True, False, True]]), 2, numpy)
    array([[0, 2]])
    """
    n = kept.shape[-1]
    first = xp.where(kept, 0, n) + xp.arange(n, device=kept.device)
    return xp.argsort(first, -1)[..., :count]


def kept_places(u: Array, free: Array, removed: int, xp: Any) -> Array:
    """Return where the tokens that stay stand, row by row, in their order.

    Removed are the `removed` free tokens of the smallest draws; every choice of them is equally likely.

    Args:
        u: a draw for each token, whole numbers below 2**32 `(batch, tokens)`.
        free: bool, which tokens may be removed; each row has `removed` or more of them.
        removed: how many tokens of each row go.
        xp: the module of the arrays, numpy or torch.

    >>> import numpy as np
    >>> u, free = np.array([[1, 5, 9, 7]]), np.array([[False, True, True, True]])
    >>> kept_places(u, free, 1, np)
    array([[0, 2, 3]])
    """
    return places(ranks(u, free, xp) >= removed, u.shape[-1] - removed, xp)


def kept_count(rate: float, n: int) -> int:
    """Return how many of n stay where exactly a share falls: round((1 - rate) n), but one at least.

    >>> [kept_count(rate, 10) for rate in (0.0, 0.25, 0.5, 1.0)]
    [10, 8, 5, 1]
    """
    return min(n, max(1, round((1 - rate) * n)))
