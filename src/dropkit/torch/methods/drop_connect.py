"""DropConnect for PyTorch: around any linear layer or convolution, which stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError, OneOf, Whole
from dropkit.methods.drop_connect import drop_connect, preactivation_variance
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.layer import Drop, Rate, rate_of
from dropkit.torch.noisy import LINEAR, NoisyWeights, call_with
from dropkit.torch.run import widen

__all__ = ["DropConnect"]

Tensor = torch.Tensor
_PER = OneOf(("batch", "sample"))
_INFERENCE = OneOf(("mean", "gaussian"))
_SAMPLES = Whole(1, "give the number of draws that are averaged, e.g. 100")


class DropConnect(NoisyWeights):
    """A linear layer or a convolution whose weights are dropped one by one in each pass.

    y = (W kept / (1 - p)) x + b, kept ~ Bernoulli(1 - p) for each weight (Wan et al. 2013). Biases are kept,
    which the paper drops as well. Under a key the mask is `dropkit.mask(key, weight.shape, Drop(p))`.

    Args:
        module: an `nn.Linear` or a convolution; it keeps its weights and its options.
        p: the probability that a weight is dropped, in [0, 1], or a schedule.
        per: one mask for the whole `"batch"`, or one for each `"sample"` along the first axis of the input,
            as in the paper; the latter for `nn.Linear` alone: it holds batch x outputs x inputs numbers.
        inference: `"mean"` takes the weights as they are; `"gaussian"` draws the outputs from the normal
            distribution that has the mean and variance of the masked layer's, as the paper does.
        samples: how many such draws are averaged.
        activation: what follows the layer; it is applied in every mode, before draws are averaged.

    Shapes:
        those of the module.

    Raises:
        DropkitError: the module is of another kind, p lies outside [0, 1], a word is unknown, or `samples` is
            given without "gaussian".

    >>> layer = DropConnect(nn.Linear(4, 2), 0.5)
    >>> layer(torch.ones(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.5,
        *,
        per: Literal["batch", "sample"] = "batch",
        inference: Literal["mean", "gaussian"] = "mean",
        samples: int = 1,
        activation: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        _check(module, _PER.check("per", per))
        super().__init__(module, Drop(drop_connect(rate_of(p))))
        self.per, self.inference = per, _INFERENCE.check("inference", inference)
        self.samples, self.activation = _SAMPLES.check("samples", samples), activation
        if inference == "mean" and samples != 1:
            raise DropkitError("samples", "is 1 where nothing is drawn", samples, "take inference='gaussian'")
        self.stand_out()

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation is not simply the module."""
        return self.inference == "gaussian" or self.activation is not None

    def forward(  # type: ignore[override]  # it takes one tensor
        self, input: Tensor, **source: Unpack[Source]
    ) -> Tensor:
        """Compute the layer with the weights of this pass.

        Args:
            input: what the module takes.
            **source: `key` and `generator` as in every layer.
        """
        if not self.drawing and self.inference == "gaussian" and self.p > 0:
            return self._approximate(input, **self.source(source))
        if self.drawing and self.per == "sample":
            return self._activate(self._each(input, **self.source(source)))
        return self._activate(call_with(self.module, self.weights(**source), (input,)))

    def _each(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        """One mask a sample: the weights are those of a batch of layers."""
        single = input.dim() == 1
        x = input[None] if single else input
        weight = self.module.weight.expand(len(x), *self.module.weight.shape)
        y = torch.einsum("b...i,boi->b...o", x, self.noise(weight, **source))
        y = y if self.module.bias is None else y + self.module.bias.to(y.dtype)
        return y[0] if single else y

    def _approximate(self, input: Tensor, **source: Unpack[Source]) -> Tensor:
        plain = self.module(input)
        mean = widen(plain)
        deviation = preactivation_variance(_power(self.module, input), self.p).clamp_min(0).sqrt()
        z = draws.normal(mean, (self.samples, *mean.shape), **source).to(mean.dtype)
        return self._activate(mean + deviation * z).mean(0).to(plain.dtype)

    def _activate(self, y: Tensor) -> Tensor:
        return y if self.activation is None else self.activation(y)

    def extra_repr(self) -> str:
        """Show what is not the default."""
        return f"per={self.per!r}, inference={self.inference!r}"


def _power(module: Any, input: Tensor) -> Tensor:
    """The layer without its bias, of squared weight and squared input."""
    squares: dict[str, Any] = {"weight": module.weight.square()}
    if module.bias is not None:
        squares["bias"] = torch.zeros_like(module.bias)
    return widen(call_with(module, squares, (input.square(),)))


def _check(module: Any, per: str) -> None:
    kinds = (nn.Linear,) if per == "sample" else LINEAR
    if not isinstance(module, kinds):
        rule = "is an nn.Linear where per='sample'" if per == "sample" else "is an nn.Linear or a convolution"
        mend = "take per='batch'" if isinstance(module, LINEAR) else "for nn.LSTM and the like: WeightDrop"
        raise DropkitError("module", rule, type(module).__name__, mend)
