"""Concrete dropout for PyTorch: a wrapper of a layer whose rate is learned with its weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.methods import concrete_dropout as law
from dropkit.torch import draws
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["ConcreteDropout"]

Tensor = torch.Tensor
_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class ConcreteDropout(Stochastic):
    """A linear layer or a convolution whose input is dropped at a rate that training finds.

    y = layer(x z / (1 - p)) with z = sigmoid(-(logit p + logit u) / t): relaxed Bernoulli noise of Gal et al.
    2017, for each input of a linear layer and for each whole channel of a convolution. The rate needs the
    layer's `penalty` in the loss, by `dropkit.torch.penalty` or one of the callbacks; weight decay of these
    weights is left out, as it is part of the penalty.

    Args:
        layer: an `nn.Linear`, `nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d`; it keeps its weights.
        rows: N, the number of rows of the training data: the more there are, the lower the rate.
        p: where the rate begins, inside of (0, 1).
        length_scale: l of the prior on the weights, above 0; the authors' example has 1e-4.
        precision: tau, the inverse variance of the targets' noise, where the loss is a mean squared error;
            None where it is a negative log-likelihood, e.g. cross-entropy.
        temperature: t, above 0. The authors' code takes 2 / 3 for convolutions.

    Shapes: as those of the layer.

    Raises:
        DropkitError: an argument is out of range, or the layer is of another kind.

    >>> layer = ConcreteDropout(nn.Linear(4, 2), rows=1000)
    >>> layer(torch.ones(3, 4)).shape, round(layer.p, 3)
    (torch.Size([3, 2]), 0.1)
    """

    def __init__(
        self,
        layer: nn.Module,
        rows: int,
        p: float = 0.1,
        *,
        length_scale: float = 1e-4,
        precision: float | None = None,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if not isinstance(layer, (nn.Linear, *_CONV)):
            rule = "is an nn.Linear or an nn.Conv1d, 2d or 3d"
            raise DropkitError("layer", rule, type(layer).__name__, "wrap the layer that takes the input")
        self.layer = layer
        self.rows = law.ROWS.check("rows", rows)
        self.length_scale = law.LENGTH.check("length_scale", length_scale)
        self.precision = None if precision is None else law.PRECISION.check("precision", precision)
        self.temperature = law.TEMPERATURE.check("temperature", temperature)
        p = law.START.check("p", p)
        logit = torch.tensor(math.log(p) - math.log1p(-p), device=layer.weight.device)
        self.logit = nn.Parameter(logit)

    @property
    def p(self) -> float:
        """The probability that an input is dropped, now."""
        return float(self.logit.detach().sigmoid())

    @p.setter
    def p(self, p: Any) -> None:
        raise DropkitError("p", "is learned by this layer", p, "make a new layer that begins there")

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Drop inputs softly where the layer draws, then apply the wrapped layer.

        Args:
            input: what the wrapped layer takes.
            **source: `key` and `generator` as in every layer.
        """
        y: Tensor = self.layer(self.perturb(input, **source))
        return y

    def perturb(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return the input as the wrapped layer sees it: itself where nothing is drawn."""
        check_tensor(input)
        if not self.drawing:
            return input
        u = draws.unit(input, None, self._groups(input), **self.source(source))
        wide = widen(input)
        m = law.factor(torch, u, self.logit.to(torch.float64), self.temperature)
        y: Tensor = wide * m.to(wide.dtype)
        return y.to(input.dtype)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the logit of the rate."""
        yield self.logit

    def penalty(self) -> Tensor:
        """Return the term of the loss; see `dropkit.methods.concrete_dropout.penalty`."""
        squares = widen(self.layer.weight).square().sum()
        term: Tensor = law.penalty(
            torch, widen(self.logit), squares, self._inputs, self.rows, self.length_scale, self.precision
        )
        return term

    def extra_repr(self) -> str:
        """Show the rate now and what the penalty follows from."""
        return f"p={self.p:.3g}, rows={self.rows}, length_scale={self.length_scale}"

    @property
    def _inputs(self) -> int:
        layer: Any = self.layer
        return int(layer.in_channels if isinstance(layer, _CONV) else layer.in_features)

    def _groups(self, input: Tensor) -> str:
        """Every input of a linear layer; every channel of a convolution, which takes single samples too."""
        if not isinstance(self.layer, _CONV):
            return "..."
        return "b c ... -> b c" if input.dim() == self.layer.weight.dim() else "c ... -> c"
