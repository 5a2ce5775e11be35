"""Part of the tokens of each sequence: which positions are protected, and how many others may go."""

from __future__ import annotations

from typing import Any

import torch

from dropkit.core.check import DropkitError, Whole
from dropkit.core.choose import kept_count, kept_places
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source

__all__ = ["check_prefix", "check_tokens", "chosen", "free_tokens", "gather", "gather_square"]

Tensor = torch.Tensor
_PREFIX = Whole(0, "give the number of leading positions, e.g. 1 for a class token")


def check_prefix(prefix: Any) -> int:
    """Return how many leading positions are protected, if it is a count."""
    return _PREFIX.check("prefix", prefix)


def check_tokens(input: Tensor) -> None:
    """Refuse what has no axes (batch, tokens, features)."""
    check_tensor(input)
    if input.dim() != 3:
        raise TensorError("input", "has axes (batch, tokens, features)", tuple(input.shape), "add the axes")


def free_tokens(input: Tensor, prefix: int, protected: Tensor | None) -> Tensor:
    """Return which tokens (batch, tokens) may go: bool.

    Args:
        input: (batch, tokens, ...).
        prefix: how many leading positions are protected.
        protected: further protected positions, bool (batch, tokens).

    Raises:
        DropkitError: `protected` is no bool tensor of that shape.
    """
    shape = input.shape[:2]
    free = (torch.arange(shape[1], device=input.device) >= prefix).expand(shape)
    if protected is None:
        return free
    if not isinstance(protected, Tensor) or protected.dtype != torch.bool or protected.shape != shape:
        rule = f"is a bool tensor of shape {tuple(shape)}, true where a token stays"
        given = tuple(protected.shape) if isinstance(protected, Tensor) else protected
        raise DropkitError("protected", rule, given, "mark each token, e.g. ids == 0")
    return free & ~protected


def _count_removed(free: Tensor, rate: float, prefix: int, protected: Tensor | None) -> int:
    """Return how many tokens of each sequence go: what the sequence with the fewest free ones can give."""
    if free.shape[0] == 0:
        return 0
    # Without marks the number is known beforehand, and no device has to be waited for.
    n = max(free.shape[1] - prefix, 0) if protected is None else int(free.sum(-1).min())
    return n - kept_count(rate, n)


def chosen(
    input: Tensor, rate: float, prefix: int, protected: Tensor | None, source: Source
) -> Tensor | None:
    """Return where the tokens that stay stand, (batch, count) in their order; None where all do.

    Args:
        input: (batch, tokens, features).
        rate: the share of the tokens that may go which goes.
        prefix: how many leading positions are protected.
        protected: further protected positions, bool (batch, tokens).
        source: where the draws come from.

    Raises:
        DropkitError: the input has other axes, or `protected` does not fit.

    >>> chosen(torch.ones(1, 5, 2), 0.5, 1, None, {"key": 1})
    tensor([[0, 2, 3]])
    """
    check_tokens(input)
    free = free_tokens(input, prefix, protected)
    removed = _count_removed(free, rate, prefix, protected)
    if not removed:
        return None
    u = draws.words(input, tuple(input.shape[:2]), "b t -> b t", **source)
    places: Tensor = kept_places(u, free, removed, torch)
    return places


def gather(values: Tensor, places: Tensor) -> Tensor:
    """Return the entries (batch, count, ...) at these places (batch, count) of axis 1."""
    index = places.reshape(*places.shape, *[1] * (values.dim() - 2))
    return values.gather(1, index.expand(*places.shape, *values.shape[2:]))


def gather_square(values: Tensor, places: Tensor) -> Tensor:
    """Return the rows and columns at these places (batch, count) of values (batch k, ..., tokens, tokens).

    >>> gather_square(torch.arange(9).reshape(1, 3, 3), torch.tensor([[0, 2]]))
    tensor([[[0, 2],
             [6, 8]]])
    """
    batch, count = places.shape
    squares = values.reshape(batch, -1, *values.shape[-2:])
    size = (*squares.shape[:2], count)
    rows = squares.gather(2, places[:, None, :, None].expand(*size, values.shape[-1]))
    both = rows.gather(3, places[:, None, None, :].expand(*size, count))
    return both.reshape(*values.shape[:-2], count, count)
