"""Sparse variational dropout for PyTorch: around any linear layer or convolution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import Interval, Whole
from dropkit.methods.sparse_variational_dropout import THRESHOLD, divergence, log_ratio
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.noisy import LINEAR, Wrapper, call_with, check_weight
from dropkit.torch.run import widen

__all__ = ["SparseVariationalDropout"]

Tensor = torch.Tensor
_ROWS = Whole(1, "give the number of rows of the training data, e.g. len(dataset)")
_REAL = Interval(-math.inf, math.inf, "give a number", open_low=True, open_high=True)
_WEIGHT = Interval(0, math.inf, "give a factor of the divergence, e.g. 1.0", open_high=True)
_FLOOR = 1e-16


class SparseVariationalDropout(Wrapper):
    """A layer whose weights learn a noise of their own; those that are all noise are pruned.

    Drawing: y ~ N(W x + b, sigma^2 x^2), the local reparameterisation of w ~ N(theta, sigma^2). Evaluation:
    the weights with log alpha = log sigma^2 - log theta^2 up to the threshold, the others as 0 (Molchanov et
    al. 2017). The loss is the mean over a batch plus `dropkit.torch.penalty(model)`, which is `weight` times
    the divergence over `rows`; raise the attribute `weight` from 0 to 1 while training begins: the authors
    have 0 before epoch 5 and a straight line to 1 at epoch 20. The noise that is drawn is not clipped, as it
    is in their code, and no weight is left out while training, as it is in their LeNet scripts
    (`train_clip=True`).

    Args:
        module: an `nn.Linear` or a convolution; it keeps its weights, under `module`.
        rows: the number of rows of the training data, at least 1.
        start: log sigma^2 of every weight at the beginning.
        threshold: the log alpha above which a weight is pruned; 3 is a dropout rate of 0.95.
        weight: a factor of the divergence, at least 0.

    Shapes:
        those of the module.

    Raises:
        DropkitError: the module is of another kind, its weight follows from other parameters, as in weight
            normalisation, or a number is out of its range.

    >>> layer = SparseVariationalDropout(nn.Linear(4, 2), rows=100)
    >>> layer(torch.ones(3, 4)).shape, layer.sparsity < 1
    (torch.Size([3, 2]), True)
    """

    log_variance: nn.Parameter

    def __init__(
        self,
        module: nn.Module,
        rows: int,
        *,
        start: float = -10.0,
        threshold: float = THRESHOLD,
        weight: float = 1.0,
    ) -> None:
        super().__init__(module, LINEAR, "wrap the layers inside one by one")
        check_weight("module", module)
        self.rows, self.threshold = _ROWS.check("rows", rows), _REAL.check("threshold", threshold)
        self.weight = _WEIGHT.check("weight", weight)
        self.log_variance = nn.Parameter(torch.full_like(self.module.weight, _REAL.check("start", start)))
        self.stand_out()

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the layer: it prunes."""
        return True

    @property
    def log_alpha(self) -> Tensor:
        """The logarithm of the noise of each weight, relative to its square, between -8 and 8."""
        ratio: Tensor = log_ratio(widen(self.log_variance), widen(self.module.weight), torch)
        return ratio

    @property
    def pruned(self) -> Tensor:
        """Which weights evaluation leaves out."""
        return self.log_alpha.detach() > self.threshold

    @property
    def sparsity(self) -> float:
        """The share of the weights that evaluation leaves out."""
        return float(self.pruned.float().mean())

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Compute the layer with noisy weights, or with those that are left.

        Args:
            input: what the module takes.
            **source: `key` and `generator` as in every layer.
        """
        if not self.drawing:
            kept = self.module.weight.masked_fill(self.pruned, 0.0)
            return call_with(self.module, {"weight": kept}, (input,))  # type: ignore[no-any-return]  # one tensor
        plain = self.module(input)
        mean = widen(plain)
        deviation = widen(self._variance(input)).clamp_min(_FLOOR).sqrt()
        z = draws.normal(mean, **self.source(source)).to(mean.dtype)
        return (mean + deviation * z).to(plain.dtype)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the variances: no weight decay for them."""
        yield self.log_variance

    def penalty(self) -> Tensor:
        """Return the divergence for each row of the training data, to be added to the mean loss."""
        total: Tensor = divergence(self.log_alpha, torch).sum()
        return self.weight / self.rows * total

    @torch.no_grad()
    def prune_(self) -> int:
        """Set the pruned weights to 0 for good, in place, and return how many they are."""
        pruned = self.pruned
        self.module.weight.masked_fill_(pruned, 0.0)
        return int(pruned.sum())

    def extra_repr(self) -> str:
        """Show the data's size, the threshold and the factor of the divergence."""
        return f"rows={self.rows}, threshold={self.threshold}, weight={self.weight}"

    def _variance(self, input: Tensor) -> Tensor:
        others = {"weight": self.log_variance.exp()}
        if self.module.bias is not None:
            others["bias"] = torch.zeros_like(self.module.bias)
        return call_with(self.module, others, (input.square(),))  # type: ignore[no-any-return]  # one tensor
