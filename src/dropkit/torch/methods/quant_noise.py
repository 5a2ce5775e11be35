"""Quantization noise for PyTorch: around any linear layer, convolution or table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Unpack

import torch
from torch import nn

from dropkit.core.check import DropkitError, OneOf
from dropkit.methods.quant_noise import quant_noise, quantized
from dropkit.torch.functional import Source
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.noisy import NoisyWeights
from dropkit.torch.run import widen

__all__ = ["QuantNoise"]

Tensor = torch.Tensor
BlockSize = int | Literal["authors", "kernel"] | None
_INFERENCE = OneOf(("weights", "quantized"))


class _Quantize(Layer):
    """Quantizes the blocks that are hit, or drops them where there are no bits."""

    def __init__(self, p: Any, bits: int | None, in_eval: bool) -> None:
        self.bits, self.in_eval = bits, in_eval
        super().__init__(quant_noise(p, None, "none" if bits else "train"))

    def cut(self, block_size: int | Literal["kernel"] | None) -> None:
        """Take other blocks."""
        self.describe(quant_noise(self.description.rate, block_size, self.description.scale))

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the weight."""
        return self.in_eval

    def forward(  # type: ignore[override]  # a weight is no part of a larger one
        self, input: Tensor, **source: Unpack[Source]
    ) -> Tensor:
        """Return the weight of a pass, with the gradient of the weight itself."""
        if not self.drawing:
            return _straight(input, self._whole(input)) if self.in_eval else input
        weight = input.detach()
        if self.bits is None:
            return _straight(input, super().forward(weight, **source))
        hit = super().forward(torch.ones_like(weight), **source) == 0
        return _straight(input, torch.where(hit, self._whole(weight), weight))

    def _whole(self, weight: Tensor) -> Tensor:
        assert self.bits is not None
        return quantized(widen(weight.detach()), self.bits, torch).to(weight.dtype)  # type: ignore[no-any-return]  # it serves any array


class QuantNoise(NoisyWeights):
    """A layer of whose weight random parts are quantized in each pass (Fan et al. 2021).

    w' = q(w) in the parts that are hit, each with probability p, and w elsewhere; the gradient is that of w
    everywhere (straight through). Activations are not quantized.

    Args:
        module: an `nn.Linear`, a convolution, an `nn.Embedding` or any module whose weights have an output a
            row and their inputs along the second axis.
        p: the probability that a part is hit, in [0, 1], or a schedule. The authors' readme has 0.5 for
            fixed-point numbers and 0.05 to 0.2 for the proxy.
        block_size: how many neighbouring inputs of one output make a block, with whole kernels in a
            convolution; "kernel" hits each kernel by itself, None every weight. "authors" is None where there
            are bits; else "kernel" for a convolution whose kernel is larger than 1, and 8 elsewhere.
        bits: q writes fixed-point numbers of so many bits, 1 to 16, between the extremes of the weight in
            this pass. None takes the proxy q = 0 with the other weights grown by 1 / (1 - p), which prepares
            for product quantization.
        names: which weights.
        inference: evaluation has the `"weights"` as they are, or `"quantized"` as the authors' fixed-point
            layers have them.

    Shapes:
        those of the module.

    Raises:
        DropkitError: p lies outside [0, 1], a number is no size, a weight cannot be cut into such blocks, or
            `inference` is unknown, or "quantized" without bits.

    >>> QuantNoise(nn.Linear(16, 4), 0.5, bits=4, inference="quantized")(torch.ones(2, 16)).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        module: nn.Module,
        p: Rate = 0.1,
        block_size: BlockSize = "authors",
        bits: int | None = 8,
        names: Iterable[str] = ("weight",),
        *,
        inference: Literal["weights", "quantized"] = "weights",
    ) -> None:
        in_eval = _INFERENCE.check("inference", inference) == "quantized"
        if bits is None and in_eval:
            rule = "is 'weights' where bits is None"
            raise DropkitError("inference", rule, inference, "give the number of bits, e.g. 8")
        if bits is not None:
            quantized(torch.zeros(1), bits, torch)
        super().__init__(module, _Quantize(rate_of(p), bits, in_eval), names)
        weights = {name: module.get_parameter(name) for name in self.names}
        size = _authors(weights.values(), bits) if block_size == "authors" else block_size
        self.noise.cut(size)
        if size is not None:
            for name, weight in weights.items():
                _check_blocks(name, weight, 1 if size == "kernel" else size)

    @torch.no_grad()
    def quantize_(self) -> None:
        """Quantize the weights for good, in place: what evaluation has where `inference="quantized"`.

        Raises:
            DropkitError: the layer has no bits.
        """
        if self.noise.bits is None:
            raise DropkitError("bits", "is given where weights are quantized", None, "write e.g. bits=8")
        for name in self.names:
            weight = self.module.get_parameter(name)
            weight.copy_(self.noise._whole(weight))


def _straight(weight: Tensor, noisy: Tensor) -> Tensor:
    """Return the noisy weight with the gradient of the weight; what is added is 0, so no digit is lost."""
    return noisy.detach() + (weight - weight.detach())


def _authors(weights: Iterable[Tensor], bits: int | None) -> int | Literal["kernel"] | None:
    """The blocks of fairseq: those of scalar/modules with bits, else those of quant_noise.py."""
    if bits is not None:
        return None
    return "kernel" if all(weight.shape[2:].numel() > 1 for weight in weights) else 8


def _check_blocks(name: str, weight: Tensor, block_size: int) -> None:
    if weight.dim() < 2 or weight.shape[1] % block_size:
        rule = f"has inputs along its second axis that are a multiple of {block_size}"
        raise DropkitError(name, rule, tuple(weight.shape), "take another block_size, or block_size=None")
