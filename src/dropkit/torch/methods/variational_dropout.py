"""Variational dropout for PyTorch: noise of units (type A) and of the weights of a linear layer (type B)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError, Interval, OneOf, Whole, check_kind
from dropkit.methods import variational_dropout as law
from dropkit.torch import draws, local
from dropkit.torch.check import TensorError, check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic

__all__ = ["VariationalDropout", "VariationalLinear"]

Tensor = torch.Tensor
_ROWS = Whole(1, "give the number of rows of the training data, e.g. len(dataset)")
_FEATURES = Whole(1, "give the size of the axis whose units have the noise")
_START = Interval(0, 0.5, "begin e.g. at 0.2", open_low=True, open_high=True)
_OF_UNITS, _OF_WEIGHTS = OneOf(("unit", "layer")), OneOf(("weight", "unit", "layer"))


class _Learned(Stochastic):
    """Noise of variance alpha = sigmoid(logit), which training moves."""

    def __init__(self, shape: tuple[int, ...], count: int, rows: int, p: float) -> None:
        super().__init__()
        self.rows, self._count = _ROWS.check("rows", rows), count
        p = _START.check("p", p)
        # alpha = p / (1 - p), and so its logit is log(p / (1 - 2 p)).
        self.logit = nn.Parameter(torch.full(shape, math.log(p / (1 - 2 * p))))

    @property
    def alpha(self) -> Tensor:
        """The variance of the noise, now, in float32 at least."""
        return widen(self.logit).sigmoid()

    @property
    def p(self) -> Tensor:
        """The rate of dropout of the same variance, alpha / (1 + alpha), now."""
        alpha = self.alpha.detach()
        return alpha / (1 + alpha)

    @p.setter
    def p(self, p: Any) -> None:
        raise DropkitError("p", "is learned by this layer", p, "make a new layer that begins there")

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the logit of the variances."""
        yield self.logit

    def penalty(self) -> Tensor:
        """Return the divergence from the prior, summed over all that has noise, over the rows."""
        each: Tensor = law.divergence(torch, self.alpha)
        return each.mean() * (self._count / self.rows)

    def extra_repr(self) -> str:
        """Show the mean rate now and the number of rows."""
        return f"p={float(self.p.mean()):.3g}, rows={self.rows}"


class VariationalDropout(_Learned):
    """Every unit is multiplied by N(1, alpha), whose variance training finds: type A of Kingma et al. 2015.

    Without the layer's `penalty` in the loss, by `dropkit.torch.penalty` or one of the callbacks, the
    variance would go to 0.

    Args:
        features: the size of the axis whose units have the noise.
        rows: N, the number of rows of the training data.
        p: where the rate begins, inside of (0, 1/2): alpha = p / (1 - p).
        per: one variance a `"unit"`, or one for the whole `"layer"`.
        axis: the axis of units; 1 for the channels of a convolution.

    Shapes: any input with `features` entries along `axis`.

    Raises:
        DropkitError: an argument is out of range, or the input has another size along the axis.

    >>> layer = VariationalDropout(4, rows=1000)
    >>> layer(torch.ones(3, 4)).shape, [round(float(p), 3) for p in layer.p]
    (torch.Size([3, 4]), [0.2, 0.2, 0.2, 0.2])
    """

    def __init__(
        self,
        features: int,
        rows: int,
        p: float = 0.2,
        *,
        per: Literal["unit", "layer"] = "unit",
        axis: int = -1,
    ) -> None:
        units = _FEATURES.check("features", features)
        shape = (units,) if _OF_UNITS.check("per", per) == "unit" else ()
        super().__init__(shape, units, rows, p)
        self.features, self.axis = units, axis

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Multiply by noise where the layer draws; return the input itself otherwise.

        Args:
            input: of a real floating type.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        self._check_size(input)
        if not self.drawing:
            return input
        wide = widen(input)
        z = draws.normal(input, **self.source(source))
        m = law.factor(self._along(input, self.alpha).to(torch.float64), z)
        y: Tensor = wide * m.to(wide.dtype)
        return y.to(input.dtype)

    def _along(self, input: Tensor, alpha: Tensor) -> Tensor:
        if alpha.dim() == 0:
            return alpha
        return alpha.reshape(-1, *(1,) * (input.dim() - 1 - self.axis % input.dim()))

    def _check_size(self, input: Tensor) -> None:
        fits = -input.dim() <= self.axis < input.dim() and input.shape[self.axis] == self.features
        if not fits:
            rule = f"has {self.features} entries along axis {self.axis}"
            raise TensorError("input", rule, tuple(input.shape), "say which axis has the units by axis=")


class VariationalLinear(_Learned):
    """A linear layer with Gaussian noise on every weight: type B of Kingma et al. 2015.

    Each output is drawn from N(W x + b, sum_i x_i**2 alpha W_ji**2) by itself: local reparameterisation.
    Evaluation is the layer itself. The penalty goes into the loss as in `VariationalDropout`.

    Args:
        layer: the `nn.Linear`; it keeps its weights.
        rows: N, the number of rows of the training data.
        p: where the rate begins, inside of (0, 1/2): alpha = p / (1 - p).
        per: one variance a `"weight"`, one an input `"unit"`, or one for the whole `"layer"`.

    Shapes: those of the layer.

    Raises:
        DropkitError: an argument is out of range, or the layer is of another kind.

    >>> layer = VariationalLinear(nn.Linear(4, 2), rows=1000)
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        layer: nn.Linear,
        rows: int,
        p: float = 0.2,
        *,
        per: Literal["weight", "unit", "layer"] = "weight",
    ) -> None:
        check_kind("layer", layer, nn.Linear, "wrap the nn.Linear itself")
        kind = _OF_WEIGHTS.check("per", per)
        inputs, weight = layer.in_features, layer.weight
        shapes = {"weight": tuple(weight.shape), "unit": (inputs,), "layer": ()}
        super().__init__(shapes[kind], weight.numel(), rows, p)
        self.layer = layer
        self.logit.data = self.logit.data.to(weight.device)

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Sample the outputs where the layer draws; apply the wrapped layer otherwise.

        Args:
            input: `(..., in_features)`.
            **source: `key` and `generator` as in every layer.
        """
        check_tensor(input)
        mean: Tensor = self.layer(input)
        if not self.drawing:
            return mean
        spread = local.variance(input, self.layer.weight, self.alpha)
        return local.sample(mean, spread, **self.source(source))
