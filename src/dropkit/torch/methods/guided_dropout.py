"""Guided dropout for PyTorch: a layer with a learned strength for each unit."""

from __future__ import annotations

from typing import Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import OneOf, Whole
from dropkit.core.schedule import Schedule
from dropkit.methods.guided_dropout import BINS, inactive, strongest
from dropkit.torch import draws
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["GuidedDropout"]

Tensor = torch.Tensor

_UNITS = Whole(1, "give the number of units, e.g. the out_features of the layer before")
_BY = OneOf(("active", "top"))


class GuidedDropout(Rated):
    """y = t x with a learned strength t a unit, which says whether training drops it (Keshari et al. 2019).

    by="active": each unit outside the crowd of equal strengths falls with probability p, by one coin for the
    batch; the crowd is the fullest of 100 parts of the range of |t|. by="top": the floor(p units) of the
    largest |t| fall, of equal ones the first; nothing is random. Nothing is scaled, and evaluation is
    y = t x. Strengths begin uniform in (0, 1), where they say nothing yet: begin with p = 0 and set `layer.p`
    once they have been learned.

    Args:
        units: the number of units, the size of axis 1 of the input.
        p: the probability that a unit outside the crowd falls, or the share that falls, in [0, 1], or a
            schedule. It may be set anew.
        by: `"active"` or `"top"`.

    Shape:
        (N, units, ...); the output has the shape of the input.

    Raises:
        DropkitError: an argument is out of its range.

    >>> layer = GuidedDropout(4, p=0.5, by="top")
    >>> layer(torch.ones(1, 4)).count_nonzero()
    tensor(2)
    """

    def __init__(
        self, units: int, p: float | Schedule = 0.2, by: Literal["active", "top"] = "active"
    ) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.rand(_UNITS.check("units", units)))
        self.take_rate(p)
        self.by = _BY.check("by", by)

    @property
    def acts_in_eval(self) -> bool:
        """Evaluation multiplies by the strengths."""
        return True

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Multiply by the strengths, and drop units in training.

        Args:
            input: (N, units, ...), of a real floating type.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        units = len(self.strength)
        if input.ndim < 2 or input.shape[1] != units:
            rule = f"has {units} units along axis 1"
            raise TensorError("input", rule, tuple(input.shape), "give (N, units, ...)")
        shape = (-1, *(1,) * (input.ndim - 2))
        y = widen(input) * self.strength.reshape(shape)
        if self.drawing and self.can_draw:
            y = torch.where(self._gone(self.source(source)).reshape(shape), 0.0, y)
        return y.to(input.dtype)

    def _gone(self, source: Source) -> Tensor:
        """Return which units fall."""
        size = self.strength.detach().abs()
        if self.by == "top":
            gone: Tensor = strongest(size, size.sort().values, self.p)
            return gone
        crowd = inactive(size, size.amax(), torch.arange(BINS + 1, device=size.device))
        return draws.below(size, self.p * (~crowd).to(torch.float64), **source)

    def extra_repr(self) -> str:
        """Show what was given."""
        return f"units={len(self.strength)}, p={self.p}, by={self.by!r}"
