"""A term beside the loss: what the trainers' callbacks add, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dropkit.core.check import DropkitError

__all__ = ["Extra", "check_extra", "term"]

Extra = Callable[[Any, Any], torch.Tensor]
"""What is added to a loss: a number as a tensor, of the model and the batch."""


def check_extra(extra: Any) -> Extra:
    """Return what computes a term, if it can be called."""
    if not callable(extra):
        mend = "write e.g. lambda model, batch: dropkit.torch.penalty(model)"
        raise DropkitError("extra", "takes the model and the batch", extra, mend)
    return extra  # type: ignore[no-any-return]  # what it returns is checked where it does


def term(extra: Extra, model: nn.Module, batch: Any) -> torch.Tensor:
    """Return the term of a batch, a single number.

    >>> term(lambda model, batch: batch.sum(), nn.Identity(), torch.ones(3))
    tensor(3.)
    """
    value = extra(model, batch)
    if not isinstance(value, torch.Tensor) or value.numel() != 1:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise DropkitError("extra", "returns one number as a tensor", found, "take its mean")
    return value.reshape(())
