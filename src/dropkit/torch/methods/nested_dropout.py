"""Nested dropout: one index a sample, behind which all units are dropped."""

from __future__ import annotations

from typing import Any, Unpack

import torch

from dropkit.core.check import DropkitError, Whole, is_whole
from dropkit.core.schedule import Schedule
from dropkit.methods.nested_dropout import unit_rates
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_source, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated

__all__ = ["NestedDropout"]

Tensor = torch.Tensor
_UNITS = Whole(0, "give the number of leading units that are done, e.g. 4")


class NestedDropout(Rated):
    """Draws one index a sample and drops all units behind it (Rippel et al. 2014).

    y_j = x_j for j <= b, else 0, with b ~ Geometric(p). Nothing is rescaled; evaluation returns the input
    itself. The first axis counts samples.

    Args:
        p: the probability that the code ends at a unit that it has reached, in [0, 1], or a schedule;
            1 / p units are kept on average, where there are so many.
        axis: the axis of the units, not the first.

    Raises:
        DropkitError: p is out of range, or the axis is no whole number or the first.

    >>> NestedDropout(0.5)(torch.ones(2, 4), key=1)
    tensor([[1., 1., 0., 0.],
            [1., 0., 0., 0.]])
    """

    done: Tensor

    def __init__(self, p: float | Schedule = 0.1, axis: int = -1) -> None:
        super().__init__(p)
        self.axis, self.swept = axis, 0
        self.register_buffer("done", torch.zeros((), dtype=torch.int64))
        if not is_whole(axis) or axis == 0:
            rule = "is a whole number other than 0, the axis of samples"
            raise DropkitError("axis", rule, axis, "write e.g. 1 or -1")

    def sweep(self, units: int) -> None:
        """Take the first units for done: they are always kept, and no gradient passes through them.

        As units behind them come to be dropped less often, they learn, too. The count stands in the
        state_dict.

        Raises:
            DropkitError: `units` is no whole number of at least 0.
        """
        self.swept = _UNITS.check("units", units)
        self.done.fill_(units)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop units in training; return `input` itself otherwise.

        Args:
            input: of at least two axes, the first of which counts samples.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.
        """
        if not self.drawing:
            return input
        check_tensor(input)
        check_source(**source)
        places = self._places(input)
        if self.swept and input.requires_grad:
            input = torch.where(places < self.swept, input.detach(), input)
        if not self.p:
            return input
        rates = unit_rates(self.p, places, self.swept)
        gone = draws.below(input, rates, "b ... -> b", **self.source(source))
        return torch.where(gone, 0.0, input)

    def _places(self, input: Tensor) -> Tensor:
        """The place of each unit, 0, 1, ..., in a shape that broadcasts to the input."""
        rank, axis = input.dim(), self.axis + input.dim() * (self.axis < 0)
        if rank < 2 or not 0 < axis < rank:
            rule = f"has at least two axes, and units along axis {self.axis}, not the first"
            raise TensorError("input", rule, tuple(input.shape), "give (batch, units)")
        places = torch.arange(input.shape[axis], dtype=torch.float64, device=input.device)
        return places.reshape([-1 if i == axis else 1 for i in range(rank)])

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self.swept = int(self.done)

    def extra_repr(self) -> str:
        """Show the rate, the axis and what is done."""
        return f"p={self.p}, axis={self.axis}" + (f", swept={self.swept}" if self.swept else "")
