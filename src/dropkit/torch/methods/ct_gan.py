"""The consistency term of CT-GAN, for the loss of a critic."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from dropkit.core.check import Interval, check_kind
from dropkit.methods.ct_gan import consistency
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.run import widen
from dropkit.torch.two_passes import WEIGHT, call, mean_rows, passes

__all__ = ["ct_gan"]

Tensor = torch.Tensor
_BOUND = Interval(0, float("inf"), "give what costs nothing, e.g. 0.0", open_high=True)


def ct_gan(
    critic: nn.Module, real: Any, weight: float = 2.0, bound: float = 0.0, features: float = 0.1
) -> Tensor:
    """Return the consistency term of a critic with dropout on real samples (Wei et al. 2018).

    weight mean(max(0, (D' - D'')^2 + features mean((F' - F'')^2) - bound)), where D', D'' are the scores of
    two passes under two masks and F', F'' the features before them. Add it to the loss of the critic, beside
    the gradient penalty: in a loop of your own, or by
    `dropkit.torch.lightning.LossCallback` and `dropkit.torch.transformers.with_loss`.

    Args:
        critic: returns the scores, a number a row, or a pair of scores and features (rows, ...).
        real: real samples: a tensor, a tuple of arguments, or a mapping of them by name.
        weight: the factor of the term, at least 0.
        bound: M', the gap that costs nothing, at least 0.
        features: the factor of the features, at least 0.

    Raises:
        DropkitError: a factor is out of range, or the critic returns anything else.

    >>> ct_gan(nn.Linear(3, 1), torch.ones(4, 3)).item()  # without dropout both passes agree
    0.0
    """
    check_kind("critic", critic, nn.Module, "give the torch.nn.Module itself")
    weight, bound = WEIGHT.check("weight", weight), _BOUND.check("bound", bound)
    factor = WEIGHT.check("features", features)
    one, other = (_flat(result) for result in passes(critic, lambda: call(critic, real)))
    between = None if one[1] is None or other[1] is None else (one[1], other[1])
    rows: Tensor = consistency((one[0], other[0]), between, factor, bound)
    return weight * mean_rows(rows)


def _flat(result: Any) -> tuple[Tensor, Tensor | None]:
    """The scores as one number a row, and the features as one row of numbers."""
    scores, features = result if isinstance(result, tuple | list) and len(result) == 2 else (result, None)
    check_tensor(scores, "scores of the critic")
    if not scores.dim() or scores.numel() != len(scores):
        raise TensorError(
            "scores of the critic", "are one number a row", tuple(scores.shape), "give (rows, 1)"
        )
    if features is None:
        return widen(scores).flatten(), None
    check_tensor(features, "features of the critic")
    size = math.prod(features.shape[1:])
    if not features.dim() or len(features) != len(scores) or not size:
        rule = f"have {len(scores)} rows, as the scores, and a number each"
        raise TensorError("features of the critic", rule, tuple(features.shape), "give (rows, ...)")
    return widen(scores).flatten(), widen(features).reshape(len(scores), size)
