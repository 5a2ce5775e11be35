"""Whiteout for PyTorch: a linear layer or a convolution whose inputs carry noise."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import Interval, check_kind
from dropkit.methods.whiteout import contribution
from dropkit.torch import draws
from dropkit.torch.check import check_tensor
from dropkit.torch.functional import Source
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic
from dropkit.torch.weighted import LinearLayer, check_linear, weighted

__all__ = ["Whiteout"]

Tensor = torch.Tensor

_DEVIATION = Interval(0, float("inf"), "give a standard deviation, e.g. 0.1", open_high=True)
_VARIANCE = Interval(0, float("inf"), "give a variance, e.g. 0.01", open_high=True)
_GAMMA = Interval(0, 2, "write e.g. 1.0, which acts like a lasso", open_low=True, open_high=True)


class Whiteout(Stochastic):
    """A linear layer or a convolution under whiteout: Gaussian noise on its inputs, larger for small weights.

    Towards output k, input j is x_j + e_jk with e_jk ~ N(0, sigma**2 |w_jk|**-gamma + ridge), or x_j e_jk
    with e_jk ~ N(1, the same) (Li and Liu 2016, equations 1 and 2). The layer draws the sum of these noises,
    which is normal itself: one number an output, with the variance that the independent e_jk add up to. Its
    gradient reaches the weights through that variance too, as the penalty of the paper's theorem 1 asks.
    Evaluation is the layer itself.

    Args:
        layer: a `torch.nn.Linear`, `Conv1d`, `Conv2d` or `Conv3d`; it keeps its name and its weights.
        sigma: at least 0, in units of the inputs where the noise is added.
        gamma: in (0, 2). With 1, sigma acts like a lasso; towards 2, like a penalty on the number of weights.
        ridge: lambda, a variance of at least 0, which acts like an L2 penalty.
        multiplicative: whether the inputs are multiplied by the noise.

    Shape:
        those of the layer.

    Raises:
        DropkitError: the layer is of another kind, or a number is out of its range.

    >>> Whiteout(torch.nn.Linear(4, 2), sigma=0.1)(torch.ones(8, 4)).shape
    torch.Size([8, 2])
    """

    def __init__(
        self,
        layer: LinearLayer,
        sigma: float = 0.1,
        gamma: float = 1.0,
        ridge: float = 0.0,
        *,
        multiplicative: bool = False,
    ) -> None:
        super().__init__()
        self.layer = check_linear(layer)
        self.sigma, self.gamma = _DEVIATION.check("sigma", sigma), _GAMMA.check("gamma", gamma)
        self.ridge = _VARIANCE.check("ridge", ridge)
        self.multiplicative = check_kind("multiplicative", multiplicative, bool, "write True or False")

    @property
    def can_draw(self) -> bool:
        """Whether there is any noise."""
        return self.sigma > 0 or self.ridge > 0

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return what the layer makes of the input.

        Args:
            input: as the layer takes it.
            **source: `key` and `generator` as in every layer.
        """
        y: Tensor = self.layer(input)
        if not (self.drawing and self.can_draw):
            return y
        check_tensor(input)
        z = draws.normal(y, **self.source(source)).to(widen(y).dtype)
        return (widen(y) + self._deviation(input) * z).to(y.dtype)

    def _deviation(self, input: Tensor) -> Tensor:
        """Return the standard deviation of each output."""
        power = widen(input) ** 2 if self.multiplicative else torch.ones_like(widen(input))
        weight = widen(self.layer.weight)
        # At 0 a power below 1 has an infinite slope, and 0 times that is NaN: there the gradient is 0.
        nothing = weight == 0
        spread = contribution(torch.where(nothing, 1.0, weight), self.sigma, self.gamma, self.ridge)
        total = weighted(self.layer, power, torch.where(nothing, 0.0, spread))
        return torch.where(total > 0, torch.where(total > 0, total, 1.0).sqrt(), 0.0)

    def extra_repr(self) -> str:
        """Show what was given."""
        numbers = f"sigma={self.sigma}, gamma={self.gamma}, ridge={self.ridge}"
        return f"{numbers}, multiplicative={self.multiplicative}"
