"""Quantization noise: parts of a weight are quantized at random in training, so that all can be later."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dropkit.core.check import Whole
from dropkit.core.drop import Drop
from dropkit.core.groups import Pattern
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale
from dropkit.core.reference import mask

__all__ = ["METHOD", "quant_noise", "quantized"]

_BLOCK = Whole(1, "give the number of inputs in a block, e.g. 8")
_BITS = Whole(1, "give the number of bits, e.g. 8", below=17)


def quant_noise(rate: Any, block_size: int | Literal["kernel"] | None = 8, scale: Scale = "none") -> Drop:
    """Return which blocks of a weight `(outputs, inputs, ...)` are hit: those that are dropped.

    The authors take 8 for the proxy in tables, linear layers and convolutions of 1 x 1, "kernel" for it in
    other convolutions, and None for fixed-point numbers.

    Args:
        rate: the probability that a block is hit, in [0, 1].
        block_size: how many neighbouring inputs of one output make a block, with whole kernels in a
            convolution; "kernel" hits each kernel, that of an output and an input, by itself, and None every
            weight.
        scale: "train" for the proxy that drops blocks, which grows the others by 1 / (1 - rate).

    >>> quant_noise(0.1, 4).groups.split((2, 8))
    (2, 2, 4)
    """
    if block_size is None:
        return Drop(rate, scale=scale)
    if block_size == "kernel":
        return Drop(rate, "o i ... -> o i", scale=scale)
    size = _BLOCK.check("block_size", block_size)
    return Drop(rate, Pattern("o (i k) ... -> o i", {"k": size}), scale=scale)


def quantized(weight: Any, bits: int, xp: Any = np) -> Any:
    """Return a weight as fixed-point numbers of `bits` bits write it, in its own type.

    w' = (clip(round(w / s + z), 0, 2**bits - 1) - z) s with s = (high - low) / (2**bits - 1) and
    z = -round(low / s); low and high are the extremes of the weight, or 0 where that lies outside of them.

    >>> quantized(np.array([-1.0, 0.1, 0.4, 2.0]), 2)
    array([-1.,  0.,  0.,  2.])
    """
    top = 2 ** _BITS.check("bits", bits) - 1
    low, high = xp.clip(weight.min(), None, 0), xp.clip(weight.max(), 0, None)
    step = (high - low) / top
    step = step + (step == 0)
    zero = -xp.round(low / step)
    return (xp.clip(xp.round(weight / step + zero), 0, top) - zero) * step


METHOD = Method(
    name="quant_noise",
    title="Quant-Noise",
    summary="Quantizes random weights, or random blocks of them, in each pass and lets the gradient through "
    "as if nothing had happened.",
    formula="fixed point: hit ~ Bernoulli(rate) for each weight; w' = q(w) where hit, else w; q(w): numbers "
    "of N bits between the least and the largest weight of this pass; the authors' evaluation has q(w) "
    "everywhere: inference='quantized'. Proxy: hit for each block, 8 neighbouring inputs of an output, or "
    "one kernel of a convolution larger than 1 x 1; w' = 0 where hit, else w / (1 - rate); evaluation has w. "
    "Both: dL/dw = dL/dw'",
    paper=Paper(
        title="Training with Quantization Noise for Extreme Model Compression",
        authors=(
            "Fan, Angela",
            "Stock, Pierre",
            "Graham, Benjamin",
            "Grave, Edouard",
            "Gribonval, Rémi",
            "Jégou, Hervé",
            "Joulin, Armand",
        ),
        year=2021,
        venue="ICLR",
        url="https://arxiv.org/abs/2004.07320",
        bibtex="""@inproceedings{fan2021training,
  title     = {Training with Quantization Noise for Extreme Model Compression},
  author    = {Fan, Angela and Stock, Pierre and Graham, Benjamin and Grave, Edouard and
               Gribonval, R{\\'e}mi and J{\\'e}gou, Herv{\\'e} and Joulin, Armand},
  booktitle = {International Conference on Learning Representations},
  year      = {2021},
  url       = {https://arxiv.org/abs/2004.07320}
}""",
        checked="copies of the abstract for the reference; the authors' own code in fairseq (quant_noise.py, "
        "scalar/ops.py, qlinear.py, qconv.py) for the law and the readme of its example for rates. "
        "What differs there: fixed point quantizes activations too, and reads the range of a weight anew "
        "every 1000 passes, by a histogram unless told otherwise; the proxy writes into the weight itself",
    ),
    site="weight",
    fields=("text", "vision"),
    good_for="Models that shall run with quantized weights: unlike with all weights quantized in each pass, "
    "most gradients are exact. The proxy prepares for quantizers that are dear to run, such as product "
    "quantization. The authors' readme recommends 0.05 to 0.2 for the proxy and has 0.5 in its example of "
    "fixed point.",
    bad_for="Models that stay in floating point, for which it is a weak regulariser; models whose "
    "activations are quantized too, of which it knows nothing; rates near 1 with few bits, where the "
    "gradient is no longer one.",
    sketch=lambda key: mask(key, (16, 32), quant_noise(0.3, 8, "train")),
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.3},
        usage={
            "torch": "layer = QuantNoise(torch.nn.Linear(32, 16), 0.1, bits=None)  # drops blocks of 8\n"
            "y = layer(torch.randn(8, 32))"
        },
    ),
    evidence="The abstract reports 82.5 % on MNLI with a RoBERTa of 14 MB, and 80.0 % top-1 on ImageNet with "
    "an EfficientNet-B3 of 3.3 MB (Fan et al. 2021).",
    aliases=("quantization_noise",),
    around="module",
    layers={"torch": "QuantNoise"},
    waived={
        "gradient": "fairseq, scalar/modules/qlinear.py: the straight-through estimator, a gradient of 1 "
        "whatever was hit",
        "edges": "as for gradient: at rate 1 the gradient is 1 as well",
    },
)
