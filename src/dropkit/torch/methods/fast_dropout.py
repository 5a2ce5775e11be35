"""Fast dropout for PyTorch: a linear layer whose outputs are drawn, or whose moments are carried on."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods import fast_dropout as law
from dropkit.methods.fast_dropout import Moments
from dropkit.torch import local
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["FastDropout", "relu_moments", "sigmoid_moments"]

Tensor = torch.Tensor


class FastDropout(Rated):
    """A linear layer whose outputs are drawn as if its inputs were dropped: one draw an output.

    y ~ N(W x + b, sum_i W_ji**2 x_i**2 p / (1 - p)), the normal approximation of inverted dropout (Wang and
    Manning 2013); evaluation is the layer itself. `moments` carries mean and variance on instead, in training
    or at test, through as many layers as there are.

    Args:
        layer: the `nn.Linear`; it keeps its weights.
        p: the probability that an input is dropped, in [0, 1], or a schedule. At 1 the bias is left.

    Shapes: those of the layer.

    Raises:
        DropkitError: p lies outside [0, 1], or the layer is of another kind.

    >>> layer = FastDropout(nn.Linear(4, 2), 0.5)
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, layer: nn.Linear, p: float | Schedule = 0.5) -> None:
        super().__init__()
        self.layer = check_kind("layer", layer, nn.Linear, "wrap the nn.Linear itself")
        self.take_rate(p)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Draw the outputs where the layer draws; apply the wrapped layer otherwise.

        Args:
            input: `(..., in_features)`.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        if not self.drawing or self.p == 0:
            y: Tensor = self.layer(input)
            return y
        mean, variance = self.moments(input)
        return local.sample(mean, variance, **self.source(source))

    def moments(self, mean: Tensor, variance: Tensor | None = None) -> Moments:
        """Return mean and variance of each output over all masks, whatever the mode.

        Args:
            mean: of the inputs `(..., in_features)`.
            variance: of the inputs, of the same shape; None where they are known.

        Returns:
            `(mean, variance)`, both `(..., out_features)`; the variance in float32 at least.

        Raises:
            DropkitError: the variance has another shape than the mean.
        """
        if variance is not None and variance.shape != mean.shape:
            rule = f"has the shape of mean, {tuple(mean.shape)}"
            raise DropkitError("variance", rule, tuple(variance.shape), "give one for each input")
        if self.p == 1:
            nothing: Tensor = self.layer(mean.masked_fill(torch.ones_like(mean, dtype=torch.bool), 0.0))
            return Moments(nothing, torch.zeros_like(widen(nothing)))
        given = 0.0 if variance is None else widen(variance)
        spread: Tensor = law.dropped_variance(widen(mean), given, self.p)
        return Moments(self.layer(mean), local.carried(spread, self.layer.weight))

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p}"


def relu_moments(mean: Tensor, variance: Tensor) -> Moments:
    """Return mean and variance of ReLU of a normal pre-activation, exactly; see `FastDropout.moments`.

    >>> mean, variance = relu_moments(torch.zeros(1), torch.ones(1))
    >>> round(mean.item(), 4), round(variance.item(), 4)
    (0.3989, 0.3408)
    """
    return law.relu_moments(torch, Moments(widen(mean), widen(variance)), torch.special.ndtr)


def sigmoid_moments(mean: Tensor, variance: Tensor) -> Moments:
    """Return mean and variance of the sigmoid of a normal pre-activation, about; see `FastDropout.moments`.

    >>> sigmoid_moments(torch.zeros(1), torch.ones(1)).mean.item()
    0.5
    """
    return law.sigmoid_moments(torch, Moments(widen(mean), widen(variance)))
