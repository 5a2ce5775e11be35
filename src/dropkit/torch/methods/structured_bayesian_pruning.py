"""Structured Bayesian pruning for PyTorch: a layer on the units of an activation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import Interval, Whole
from dropkit.methods import structured_bayesian_pruning as law
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.units import PER, Per, check_units, draw_shape, unit_sizes

__all__ = ["StructuredBayesianPruning"]

Tensor = torch.Tensor
_SPECIAL = law.Special(torch, torch.special.log_ndtr, torch.special.ndtri)
_ROWS = Whole(1, "give the number of rows of the training data, e.g. len(dataset)")
_WEIGHT = Interval(0, math.inf, "give a factor of the divergence, e.g. 1.0", open_high=True)
_START = Interval(-20, 5, "give a logarithm; the authors' code has -5")
_THRESHOLD = Interval(0, math.inf, "give a ratio; the paper has 1", open_high=True)
_LOWEST, _HIGHEST = -20.0, 5.0


class StructuredBayesianPruning(Stochastic):
    """Log-normal noise on the units of an activation, which learns which of them to prune.

    Drawing: y = theta x with log theta ~ N(mu, sigma^2) cut to [-20, 0]; evaluation: the mean of theta, and 0
    where it is less than `threshold` deviations (Neklyudov et al. 2017). The loss is the mean over a batch
    plus `dropkit.torch.penalty(model)`, which is `weight` times the divergence over `rows`. The authors put
    it on the output of a convolution before the bias is added, so that a pruned unit keeps its bias.

    Args:
        size: the number of units of the last axis, or a shape that broadcasts to one sample, e.g. (32, 1, 1)
            for the channels of (N, 32, H, W).
        rows: the number of rows of the training data, at least 1.
        start: log sigma of every unit at the beginning, in [-20, 5]; mu begins at 0.
        threshold: the ratio of signal to noise below which a unit is pruned.
        weight: a factor of the divergence, at least 0.
        per: one draw a unit for the whole `"batch"`, as in the authors' code, or for each `"sample"`.

    Shapes:
        input and output alike: (N, ...), whose last axes the units fit.

    Raises:
        DropkitError: a number is out of its range; at the call: the units do not fit the input.

    >>> layer = StructuredBayesianPruning(4, rows=100)
    >>> layer(torch.ones(2, 4)).shape, layer.sparsity
    (torch.Size([2, 4]), 0.0)
    """

    def __init__(
        self,
        size: int | tuple[int, ...],
        rows: int,
        *,
        start: float = -5.0,
        threshold: float = 1.0,
        weight: float = 1.0,
        per: Per = "batch",
    ) -> None:
        super().__init__()
        shape, self.per = unit_sizes(size), per
        PER.check("per", per)
        self.rows, self.threshold = _ROWS.check("rows", rows), _THRESHOLD.check("threshold", threshold)
        self.weight = _WEIGHT.check("weight", weight)
        self.mu = nn.Parameter(torch.zeros(shape))
        self.log_sigma = nn.Parameter(torch.full(shape, _START.check("start", start)))
        self.stand_out()

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    @property
    def signal_to_noise(self) -> Tensor:
        """The mean of the noise of each unit over its deviation."""
        ratio: Tensor = law.signal_to_noise(*self._parameters_of(), _SPECIAL)
        return ratio.detach()

    @property
    def pruned(self) -> Tensor:
        """Which units evaluation leaves out: they can be cut out of the layers around."""
        return self.signal_to_noise < self.threshold

    @property
    def sparsity(self) -> float:
        """The share of the units that evaluation leaves out."""
        return float(self.pruned.float().mean())

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Multiply the input by the noise, or by its mean.

        Args:
            input: (N, ...), whose last axes the units fit.
            **source: `key` and `generator` as in every layer.
        """
        check_units(input, tuple(self.mu.shape), self.per)
        theta = self._drawn(input, **self.source(source)) if self.drawing else self._settled()
        theta = theta.to(torch.promote_types(input.dtype, torch.float32))
        return torch.where(theta == 0, 0.0, widen(input) * theta).to(input.dtype)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the parameters of the noise: no weight decay for them."""
        yield self.mu
        yield self.log_sigma

    def penalty(self) -> Tensor:
        """Return the divergence for each row of the training data, to be added to the mean loss."""
        total: Tensor = law.divergence(*self._parameters_of(), _SPECIAL).sum()
        return (self.weight / self.rows * total).to(self.mu.dtype)

    def extra_repr(self) -> str:
        """Show the units, the data's size and the threshold."""
        return f"size={tuple(self.mu.shape)}, rows={self.rows}, threshold={self.threshold}, per={self.per!r}"

    def _parameters_of(self) -> tuple[Tensor, Tensor]:
        """Place and size of the noise, in float64: tails and differences of tails are taken."""
        mu, log_sigma = (
            part.to(torch.float64).clamp(_LOWEST, _HIGHEST) for part in (self.mu, self.log_sigma)
        )
        return mu, log_sigma.exp()

    def _settled(self) -> Tensor:
        theta: Tensor = law.mean(*self._parameters_of(), _SPECIAL)
        return theta.masked_fill(self.pruned, 0.0)

    def _drawn(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        shape = draw_shape(input, tuple(self.mu.shape), self.per)
        u = draws.unit(input, shape, **source).reshape(shape)
        theta: Tensor = law.sample(*self._parameters_of(), u, _SPECIAL)
        return theta
