"""Spectral dropout for PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import DropkitError, Interval, Whole, check_each
from dropkit.core.schedule import Schedule
from dropkit.methods.spectral_dropout import WEAK, along, basis, pruned
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.draws import below
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["SpectralDropout"]

Tensor = torch.Tensor
_THRESHOLD = Interval(
    0, math.inf, "give the size below which a coefficient is weak, e.g. 0.1", open_high=True
)
_DIM = Whole(1, "give axes behind the batch, e.g. 1 for channels or (2, 3) for space")


class SpectralDropout(Rated):
    """Drops weak coefficients of a cosine transform, and others with probability p; then transforms back.

    c = T x; c_k = 0 where |c_k| <= threshold, and with probability p elsewhere; what is left grows by
    1 / (1 - p); y = T^-1 c, with the orthonormal cosine transform of type II. Evaluation returns its input.
    Khan et al. 2019; public codes disagree on which coefficients the coin is for, hence `weak`.

    Args:
        p: the probability that the coin drops a coefficient, in [0, 1], or a schedule.
        threshold: a coefficient of at most this size is weak, at least 0. With 0 the coin alone decides.
        dims: the axis of the transform, or several: 1 for channels, (2, 3) for space.
        weak: `"pruned"`: weak coefficients always fall, and each other one by its coin. `"at_risk"`: each
            weak one falls by its coin, and no other.

    Shape:
        any, with a batch in front, in and out.

    Raises:
        DropkitError: an argument is out of range.

    >>> y = SpectralDropout(0.0, threshold=0.5)(torch.tensor([[5.0, 5.1, 4.9]]))
    >>> torch.allclose(y, torch.tensor([[5.0, 5.0, 5.0]]))
    True
    """

    def __init__(
        self,
        p: float | Schedule = 0.2,
        threshold: float = 0.1,
        dims: int | Sequence[int] = 1,
        weak: Literal["pruned", "at_risk"] = "pruned",
    ) -> None:
        super().__init__(p)
        self.threshold = _THRESHOLD.check("threshold", threshold)
        self.dims, self.weak = _checked(dims), WEAK.check("weak", weak)

    @property
    def can_draw(self) -> bool:
        """Whether a coefficient can fall."""
        return self.p > 0 or (self.threshold > 0 and self.weak == "pruned")

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop coefficients.

        Args:
            input: (batch, ...), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.

        Raises:
            DropkitError: the input lacks an axis of `dims`.
        """
        check_tensor(input)
        if max(self.dims) >= input.dim():
            rule = f"has the axes {self.dims}"
            raise TensorError("input", rule, tuple(input.shape), "choose other dims")
        if not (self.drawing and self.can_draw) or input.numel() == 0:
            return input
        wide = widen(input)
        matrices = [basis(input.shape[dim], torch, input.device).to(wide.dtype) for dim in self.dims]
        coefficients = wide
        for dim, matrix in zip(self.dims, matrices, strict=True):
            coefficients = along(coefficients, matrix, dim, torch)
        coin = below(input, self.p, **self.source(source))
        y: Tensor = pruned(coefficients, coin, self.threshold, self.p, self.weak, torch)
        for dim, matrix in zip(self.dims, matrices, strict=True):
            y = along(y, matrix.T, dim, torch)
        return y.to(input.dtype)

    def extra_repr(self) -> str:
        """Show rate, threshold and axes."""
        return f"p={self.p}, threshold={self.threshold}, dims={self.dims}, weak={self.weak!r}"


def _checked(dims: Any) -> tuple[int, ...]:
    checked = check_each("dims", dims if isinstance(dims, Sequence) else (dims,), _DIM)
    if not checked or len(set(checked)) != len(checked):
        raise DropkitError("dims", "names different axes", dims, "write e.g. (2, 3)")
    return checked
