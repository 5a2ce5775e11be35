"""Information dropout for PyTorch: a layer, and a second one that says how noisy its output is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import Interval, OneOf, check_kind
from dropkit.methods import information_dropout as law
from dropkit.torch import draws
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.penalties import of_batch
from dropkit.torch.run import widen
from dropkit.torch.stochastic import Stochastic, last_bias

__all__ = ["InformationDropout"]

Tensor = torch.Tensor
_BETA = Interval(0, math.inf, "give the weight of the information, e.g. 1e-4", open_high=True)
_CAP = Interval(law.FLOOR, math.inf, "take the paper's 0.7", open_low=True, open_high=True)
_PRIOR = OneOf(("log-uniform", "log-normal"))
_LEAST = 1e-4  # of an output whose logarithm is taken, as in the authors' code


class InformationDropout(Stochastic):
    """The output of a layer times log-normal noise, whose strength a second layer computes from the input.

    y = f(x) exp(alpha(x) z) with alpha between 0.001 and `max_alpha` (Achille and Soatto 2018). Evaluation is
    f(x). The penalty, beta times the divergence from the prior per row, is that of the last batch that was
    drawn: write `loss + dropkit.torch.penalty(model)` before `backward`, the callbacks come too late.

    Args:
        layer: f, with its activation: a ReLU for the log-uniform prior, a softplus for the log-normal one.
        noise: what computes alpha before the sigmoid, from the same input and of the same output shape.
        beta: how much a nat of information costs, at least 0. The authors divide it by the number of rows:
            3 / 50,000 is the value of their example on CIFAR-10.
        prior: `"log-uniform"`, or `"log-normal"` with a mean and a deviation that are learned.
        max_alpha: the cap of alpha, above 0.001.

    Raises:
        DropkitError: an argument is out of range, or the two layers give different shapes.

    >>> layer = InformationDropout(nn.Sequential(nn.Linear(4, 2), nn.ReLU()), nn.Linear(4, 2), beta=1e-4)
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        layer: nn.Module,
        noise: nn.Module,
        beta: float,
        *,
        prior: Literal["log-uniform", "log-normal"] = "log-uniform",
        max_alpha: float = 0.7,
    ) -> None:
        super().__init__()
        self.layer = check_kind("layer", layer, nn.Module, "give f with its activation")
        self.noise = check_kind("noise", noise, nn.Module, "give a layer like f, without activation")
        self.beta = _BETA.check("beta", beta)
        self.prior = _PRIOR.check("prior", prior)
        self.max_alpha = _CAP.check("max_alpha", max_alpha)
        if prior == "log-normal":
            self.mean = nn.Parameter(torch.zeros(()))
            self.log_deviation = nn.Parameter(torch.zeros(()))
        self._divergence: Tensor | None = None

    @property
    def penalty_of_batch(self) -> bool:
        """Yes: alpha follows from the input."""
        return True

    def forward(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """Apply the layer, and multiply its output by noise where noise is drawn.

        Args:
            input: what both layers take.
            **source: `key` and `generator` as in every layer.
        """
        output: Tensor = self.layer(input)
        if not self.drawing:
            return output
        alpha = self.alpha(input)
        if alpha.shape != output.shape:
            rule = f"has the shape of the layer's output, {tuple(output.shape)}"
            raise TensorError("noise", rule, tuple(alpha.shape), "give a layer of the same output shape")
        wide = widen(output)
        self._divergence = self._per_row(wide, alpha)
        z = draws.normal(output, **self.source(source)).to(wide.dtype)
        y: Tensor = wide * law.factor(torch, alpha.to(wide.dtype), z)
        return y.to(output.dtype)

    def alpha(self, input: Tensor) -> Tensor:
        """Return the strength of the noise for an input, in float32 at least."""
        alpha: Tensor = law.strength(widen(self.noise(input)).sigmoid(), self.max_alpha)
        return alpha

    def penalty(self) -> Tensor:
        """Return beta times the divergence of the last batch that was drawn, per row; 0 before the first.

        Raises:
            DropkitError: that batch was computed without gradients, as reentrant checkpointing does.
        """
        found = self._divergence
        if found is None:
            return sum((0 * p.sum() for p in self.parameters()), torch.zeros(()))
        return self.beta * of_batch(self.noise, found)

    def rates(self) -> Iterator[nn.Parameter]:
        """Yield the last bias of the noise, which alone sets how strong it is."""
        yield from last_bias(self.noise)

    def extra_repr(self) -> str:
        """Show the price of information, the prior and the cap."""
        return f"beta={self.beta}, prior={self.prior!r}, max_alpha={self.max_alpha}"

    def _per_row(self, output: Tensor, alpha: Tensor) -> Tensor:
        each = self._each(output, alpha)
        return each.sum() / max(1, each.shape[0] if each.dim() else 1)

    def _each(self, output: Tensor, alpha: Tensor) -> Tensor:
        if self.prior == "log-uniform":
            flat: Tensor = law.log_uniform(torch, alpha, self.max_alpha)
            return flat
        logarithm, deviation = output.clamp_min(_LEAST).log(), widen(self.log_deviation).exp()
        near: Tensor = law.log_normal(torch, logarithm, alpha, widen(self.mean), deviation)
        return near

    def __getstate__(self) -> dict[str, Any]:
        # What is left of a batch hangs on its graph, which can be neither copied nor pickled.
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]  # it is untyped
        return state | {"_divergence": None}
