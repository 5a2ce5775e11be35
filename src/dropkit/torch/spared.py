"""Which keys of attention a method must leave alone, e.g. that of a class token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dropkit.core.check import DropkitError

__all__ = ["fitting", "spared"]


def fitting(name: str, marks: Any, like: Tensor) -> Tensor:
    """Return marks of keys in the shape of scores or weights.

    Args:
        name: of the argument, for the message.
        marks: a bool tensor that broadcasts.
        like: scores or weights (..., queries, keys).

    Raises:
        DropkitError: the marks are no bool tensor, or do not broadcast.

    >>> fitting("protected", torch.tensor([True, False]), torch.zeros(1, 2)).tolist()
    [[True, False]]
    """
    if not isinstance(marks, Tensor) or marks.dtype != torch.bool:
        mend = f"mark keys by a bool tensor, e.g. {name}=mask == 0"
        raise DropkitError(name, "is a bool tensor, true at the keys that are meant", marks, mend)
    try:
        return marks.expand(like.shape)
    except RuntimeError as error:
        rule = f"broadcasts to the shape {tuple(like.shape)}"
        raise DropkitError(name, rule, tuple(marks.shape), "add axes of size 1") from error


def spared(like: Tensor, prefix: int, protected: Tensor | None) -> Tensor:
    """Return which keys never fall: bool, broadcasting to scores or weights.

    Args:
        like: scores or weights (..., queries, keys).
        prefix: how many leading keys never fall.
        protected: further ones, bool, broadcasting to `like`.

    Raises:
        DropkitError: `protected` is no bool tensor, or does not broadcast.

    >>> spared(torch.zeros(2, 3), 1, torch.tensor([False, False, True])).tolist()
    [[True, False, True], [True, False, True]]
    """
    leading = torch.arange(like.shape[-1], device=like.device) < prefix
    return leading if protected is None else leading | fitting("protected", protected, like)
