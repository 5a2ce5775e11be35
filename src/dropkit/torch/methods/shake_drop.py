"""ShakeDrop for PyTorch: one factor ahead, another one back, where a coin says so."""

from __future__ import annotations

from typing import Any, Literal, Unpack

import torch

from dropkit.core.check import check_span
from dropkit.core.rate import threshold
from dropkit.core.schedule import Schedule
from dropkit.methods.shake_drop import COINS, FACTOR, PER, STRENGTHS, between, expected, factor
from dropkit.torch.check import check_tensor
from dropkit.torch.draws import fold, unit, words
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen
from dropkit.torch.two_ways import two_ways

__all__ = ["ShakeDrop"]

Tensor = torch.Tensor


class ShakeDrop(Rated):
    """Scales a residual branch by b + alpha - b alpha, and its gradient by b + beta - b beta.

    b = 0 with probability p, else 1; alpha and beta are uniform in their ranges. Evaluation scales by the
    mean of the forward factor, 1 - p + p E[alpha]. Yamada et al. 2019, equation (6) of the arXiv text. The
    paper lets p grow linearly with depth up to 0.5: `dropkit.depth_rates(0.5, blocks)`.

    Args:
        p: the probability that the branch is shaken, in [0, 1], or a schedule.
        alpha: (low, high) of the forward factor. The paper finds (-1, 1) and (0, 0) best.
        beta: (low, high) of the backward factor.
        per: who shares alpha and beta: the `"batch"`, a `"sample"`, a `"channel"`, or nobody (`"element"`).
            The coin is tossed for the batch in the first case, else for each sample.

    Shape:
        (batch, channels, ...); the batch alone is needed but for `per="channel"`.

    Raises:
        DropkitError: p lies outside [0, 1], a range is none, or `per` is another word.

    >>> ShakeDrop(0.5).eval()(torch.ones(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(
        self,
        p: float | Schedule = 0.5,
        alpha: tuple[float, float] = (-1.0, 1.0),
        beta: tuple[float, float] = (0.0, 1.0),
        per: Literal["sample", "batch", "channel", "element"] = "sample",
    ) -> None:
        super().__init__(p)
        self.alpha, self.beta = check_span("alpha", alpha, FACTOR), check_span("beta", beta, FACTOR)
        self.per = PER.check("per", per)

    @property
    def acts_in_eval(self) -> bool:
        """Whether the mean of the forward factor is other than 1."""
        return expected(self.p, *self.alpha) != 1

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Scale what a branch gives, before it is added.

        Args:
            input: (batch, ...), of a real floating type.
            **source: `key` and `generator`; see `dropkit.torch.functional.Source`.
        """
        check_tensor(input)
        if not self.drawing:
            return self._evaluate(input)
        if not self.can_draw:
            return input
        source = self.source(source)
        coin = words(input, None, COINS[self.per], **fold("coin", source)) < threshold(self.p, torch)
        factors = [
            factor(coin, between(self._uniform(name, input, source), *limits), torch)
            for name, limits in (("alpha", self.alpha), ("beta", self.beta))
        ]
        return two_ways(input, *factors)

    def _uniform(self, name: str, input: Tensor, source: Source) -> Tensor:
        return unit(input, None, STRENGTHS[self.per], **fold(name, source))

    def _evaluate(self, input: Tensor) -> Tensor:
        if not self.acts_in_eval:
            return input
        return (widen(input) * expected(self.p, *self.alpha)).to(input.dtype)

    def extra_repr(self) -> str:
        """Show the rate and the ranges."""
        shown: dict[str, Any] = {"p": self.p, "alpha": self.alpha, "beta": self.beta, "per": self.per}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())
