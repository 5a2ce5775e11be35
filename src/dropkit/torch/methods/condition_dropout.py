"""Condition dropout, and the guidance that it is for."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError, Interval, Whole, is_whole
from dropkit.core.schedule import Schedule
from dropkit.methods import condition_dropout as law
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_alike, check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["ConditionDropout", "guided"]

Tensor = torch.Tensor
_LABEL = Whole(0, "give the label that stands for no condition, e.g. the number of classes")
_STRENGTH = Interval(-1, float("inf"), "give w, the guidance scale less 1, e.g. 6.5", open_high=True)


class ConditionDropout(Rated):
    """Replaces conditions by a null condition, a coin a sample (Ho and Salimans 2022).

    Evaluation returns the condition itself; `nothing` gives the null condition of the unconditional pass.

    Args:
        null: what stands for no condition: a tensor that broadcasts to a sample's condition (a
            `torch.nn.Parameter` is learned), or a whole number where conditions are labels.
        p: the probability that a condition is replaced, in [0, 1], or a schedule.

    Raises:
        DropkitError: p is out of range, or `null` is of another kind.

    >>> ConditionDropout(10, 0.5)(torch.tensor([1, 2, 3, 4]), key=1)
    tensor([ 1, 10,  3,  4])
    >>> ConditionDropout(torch.zeros(2), 0.5)(torch.ones(2, 2), key=1)
    tensor([[1., 1.],
            [0., 0.]])
    """

    null: Tensor | int

    def __init__(self, null: Tensor | int, p: float | Schedule = 0.1) -> None:
        super().__init__(p)
        if isinstance(null, torch.nn.Parameter):
            self.null = null
        elif isinstance(null, Tensor):
            self.register_buffer("null", null)
        elif is_whole(null):
            self.null = _LABEL.check("null", null)
        else:
            mend = "write e.g. torch.nn.Parameter(torch.zeros(features))"
            raise DropkitError("null", "is a tensor or a label", null, mend)
        if isinstance(null, Tensor):
            check_tensor(null, "null")

    def forward(self, condition: Tensor, **source: Unpack[Source]) -> Tensor:
        """Replace conditions in training; return `condition` itself otherwise.

        Args:
            condition: one condition a sample (batch, ...): numbers of a floating type, or whole ones where
                `null` is a label.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the condition is of another kind or shape than `null`.
        """
        if not (self.drawing and self.can_draw):
            return condition
        check_source(**source)
        null = self._null(condition)
        gone = draws.below(condition, self.p, "b ... -> b", **self.source(source))
        return torch.where(gone, null, condition)

    def nothing(self, condition: Tensor) -> Tensor:
        """Return the null condition for every sample, of the shape of `condition`."""
        return self._null(condition).expand_as(condition)

    def _null(self, condition: Tensor) -> Tensor:
        if not isinstance(self.null, Tensor):
            if condition.is_floating_point() or condition.is_complex() or condition.dtype == torch.bool:
                mend = "give labels, or a tensor as null"
                raise TensorError(
                    "condition", "has whole numbers where null is a label", condition.dtype, mend
                )
            return condition.new_full((), self.null)
        check_tensor(condition, "condition")
        try:
            torch.broadcast_to(self.null, condition.shape[1:])
        except RuntimeError as error:
            rule = f"has conditions that null of shape {tuple(self.null.shape)} broadcasts to"
            raise TensorError("condition", rule, tuple(condition.shape), "give (batch, ...)") from error
        return self.null.to(condition.dtype)

    def extra_repr(self) -> str:
        """Show the rate, and the label that stands for nothing."""
        return f"p={self.p}" + ("" if isinstance(self.null, Tensor) else f", null={self.null}")


def guided(conditional: Tensor, unconditional: Tensor, w: float) -> Tensor:
    """Return the guided prediction (1 + w) conditional - w unconditional (Ho and Salimans 2022, eq. 6).

    Args:
        conditional: what the model says under the condition: noise, score or velocity.
        unconditional: what it says under the null condition, of the same shape.
        w: the strength, at least -1: 0 is the conditional model. Other libraries take the guidance scale
            1 + w.

    Raises:
        DropkitError: w is out of range, one of both is not a tensor of a floating type, or their shapes
            differ.

    >>> guided(torch.tensor([3.0]), torch.tensor([1.0]), 0.5)
    tensor([4.])
    """
    w = _STRENGTH.check("w", w)
    check_alike("conditional", conditional, "unconditional", unconditional)
    combined: Tensor = law.guided(widen(conditional), widen(unconditional), w)
    return combined.to(conditional.dtype)
