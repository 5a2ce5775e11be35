"""Multi-sample dropout: the head of a network runs under several masks of one batch of features."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD"]


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return mask(key, METHOD.example.shape, Drop(0.5))


METHOD = Method(
    name="multi_sample_dropout",
    title="Multi-sample dropout",
    summary="Drops the features before the head several times, each time by coins of its own, and averages "
    "the losses of the samples.",
    formula="kept ~ Bernoulli(1 - rate) for each sample k = 1 ... K and each feature; "
    "loss = mean over k of loss(head(x kept_k / (1 - rate)), y); evaluation: head(x)",
    paper=Paper(
        title="Multi-Sample Dropout for Accelerated Training and Better Generalization",
        authors=("Inoue, Hiroshi",),
        year=2019,
        venue="arXiv",
        url="https://arxiv.org/abs/1905.09788",
        bibtex="""@article{inoue2019multi,
  title   = {Multi-Sample Dropout for Accelerated Training and Better Generalization},
  author  = {Inoue, Hiroshi},
  journal = {arXiv preprint arXiv:1905.09788},
  year    = {2019}
}""",
        checked="the abstract for the reference and for the law: losses, not outputs, are averaged, and the "
        "head shares its weights. It is silent on evaluation: here the head runs once without dropout",
    ),
    site="activation",
    fields=("vision", "text"),
    good_for="Classifiers with a costly body and a cheap head, such as convolutional networks and fine-tuned "
    "encoders: several samples cost little more than one and steady the gradient. Try 8 samples.",
    bad_for="Networks whose cost lies in the head, as with a large vocabulary; heads with batch norm, which "
    "sees the samples of a batch together.",
    sketch=_sketch,
    example=Example(
        shape=(4, 8, 32),
        axes="sample b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "head = MultiSampleDropout(torch.nn.Linear(32, 4), 0.5, samples=4)\n"
            "features, y = torch.randn(8, 32), torch.randint(4, (8,))\n"
            "loss = head.loss(features, y)\n"
            "logits = head.eval()(features)"
        },
    ),
    evidence="Inoue 2019 reports faster training and lower error rates than with plain dropout on ImageNet, "
    "CIFAR-10 and CIFAR-100 (abstract).",
    aliases=("multisample_dropout",),
    around="head",
    layers={"torch": "MultiSampleDropout"},
)
