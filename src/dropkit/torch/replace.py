"""Dropout of code that calls `torch.nn.functional`, for as long as a block lasts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional as F

from dropkit.torch import functional
from dropkit.torch.attention import scaled_dot_product_attention

__all__ = ["replace_functional"]

_NAMES = ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")


@contextmanager
def replace_functional() -> Iterator[None]:
    """Let `F.dropout` and its siblings, and attention with dropout, be dropkit's until the block ends.

    For models that call functions where a layer could be swapped. It reaches every thread, and whoever looks
    the name up in `torch.nn.functional` when it calls: `from torch.nn.functional import dropout` does not.

    >>> import torch
    >>> with replace_functional():
    ...     torch.manual_seed(0).initial_seed() == 0 and F.dropout is functional.dropout
    True
    >>> F.dropout is functional.dropout
    False
    """
    _enter()
    try:
        yield
    finally:
        _leave()


_LOCK = threading.Lock()
_before: dict[str, Any] = {}
_open_blocks = 0


def _enter() -> None:
    global _open_blocks  # noqa: PLW0603  # blocks of several threads may end in any order: the last one restores
    with _LOCK:
        if not _open_blocks:
            ours = {name: getattr(functional, name) for name in _NAMES}
            ours["scaled_dot_product_attention"] = _attend
            _before.update({name: getattr(F, name) for name in ours})
            for name, function in ours.items():
                setattr(F, name, function)
        _open_blocks += 1


def _leave() -> None:
    global _open_blocks  # noqa: PLW0603  # as above
    with _LOCK:
        _open_blocks -= 1
        if not _open_blocks:
            for name, function in _before.items():
                setattr(F, name, function)


_torchs_own = F.scaled_dot_product_attention


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if dropout_p == 0:
        return _torchs_own(query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa)
    return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)
