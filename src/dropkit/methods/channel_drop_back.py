"""ChannelDropBack: only the backward pass drops, so that random channels of a weight are not updated."""

from __future__ import annotations

from typing import Any, Literal

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale
from dropkit.core.reference import mask

__all__ = ["METHOD", "channel_drop_back"]

_OVER = OneOf(("outputs", "inputs"))
_FORWARD = "Neiterman and Ben-Artzi 2024: the forward pass is left as it is, only gradients are dropped"


def channel_drop_back(
    rate: Any, over: Literal["outputs", "inputs"] = "outputs", scale: Scale = "train"
) -> Drop:
    """Return what happens to the gradient of a weight `(outputs, inputs, ...)` in a pass.

    Args:
        rate: the probability that a channel gets no update, in [0, 1].
        over: a channel is one of the `"outputs"`, as in the paper's words, or of the `"inputs"`, as in the
            authors' code.
        scale: "train" grows the other gradients by 1 / (1 - rate), so that their mean stays; the authors'
            code divides by the share that was kept in fact. "none" leaves them.

    >>> channel_drop_back(0.5).groups.pattern
    'o ... -> o'
    """
    pattern = "o ... -> o" if _OVER.check("over", over) == "outputs" else "o i ... -> i"
    return Drop(rate, pattern, scale=scale)


METHOD = Method(
    name="channel_drop_back",
    title="ChannelDropBack",
    summary="Leaves the forward pass as it is and drops the gradients of random channels, so that a step "
    "updates only a part of a layer.",
    formula="y = f(x; W); dL/dW' = dL/dW kept / (1 - rate), kept ~ Bernoulli(1 - rate) for each channel of a "
    "layer that is hit, and dL/dW in the other layers",
    paper=Paper(
        title="ChannelDropBack: Forward-Consistent Stochastic Regularization for Deep Networks",
        authors=("Neiterman, Evgeny Hershkovitch", "Ben-Artzi, Gil"),
        year=2024,
        venue="ICPR",
        url="https://arxiv.org/abs/2411.10891",
        bibtex="""@inproceedings{neiterman2024channeldropback,
  title     = {ChannelDropBack: Forward-Consistent Stochastic Regularization for Deep Networks},
  author    = {Neiterman, Evgeny Hershkovitch and Ben-Artzi, Gil},
  booktitle = {Pattern Recognition: 27th International Conference, ICPR 2024},
  pages     = {390--400},
  year      = {2024},
  url       = {https://arxiv.org/abs/2411.10891}
}""",
        checked="the authors' page and the university's for the reference; the authors' own code "
        "(SGD_Dropback.py, train.py), Algorithm 1 in its README and a review of the paper for the law: words "
        "and code differ in the axis of a channel. Algorithm 1 hits one layer an iteration; the code hits "
        "each with its own coin and draws in the optimizer's step, once for all passes before it. train.py "
        "drops channels with 0.3, hits a layer with 0.03, from 30 % of the epochs 0.15, from 60 % 0.3, and "
        "leaves out the first parameters, biases and names with 'bn'. Where all channels would fall, the "
        "code drops none",
    ),
    site="gradient",
    fields=("vision",),
    good_for="Networks that must compute in training exactly what they compute later, where other dropouts "
    "cannot be put in: any layer can have it, and evaluation, export and batch statistics notice nothing.",
    bad_for="Uncertainty by repeated passes, for all passes are alike; optimizers with momentum or weight "
    "decay, which move channels that got no gradient all the same; several passes before a step, which draw "
    "apart and mix, unless they are given one key.",
    sketch=lambda key: mask(key, (16, 32), channel_drop_back(0.5)),
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = ChannelDropBack(torch.nn.Linear(32, 16), 0.5)\n"
            "y = layer(torch.randn(8, 32))\n"
            "y.sum().backward()  # half of the rows of layer.weight.grad are 0, more or less"
        },
    ),
    evidence="Tables in the authors' README: from scratch ResNet50 reaches 77.55 % instead of 76.51 % on "
    "CIFAR-100 but 89.12 % instead of 89.16 % on CIFAR-10; fine-tuned ViT-Base 82.03 % instead of 81.32 % on "
    "ImageNet but 98.80 % instead of 98.95 % on CIFAR-10 (Neiterman and Ben-Artzi 2024).",
    aliases=("channeldropback", "drop_back"),
    around="module",
    layers={"torch": "ChannelDropBack"},
    waived=dict.fromkeys(("rate", "moments", "groups", "independence", "gradient", "key", "edges"), _FORWARD),
)
