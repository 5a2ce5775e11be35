"""Fraternal dropout: two passes of a batch under two masks, whose outputs before the softmax must agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import TRAITS, Example, Method, Paper
from dropkit.core.reference import passes

__all__ = ["METHOD", "difference"]


def difference(p: Any, q: Any) -> Any:
    """Return the mean of (p - q)^2 along the last axis: a number a row.

    Args:
        p: outputs before the softmax, of shape (..., outputs).
        q: those of the other pass, of the same shape.

    >>> float(difference(np.array([1.0, 2.0]), np.array([1.0, 4.0])))
    2.0
    """
    return ((p - q) ** 2).mean(-1)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    return passes(key, 2, (8, 32), Drop(0.4))


METHOD = Method(
    name="fraternal_dropout",
    title="Fraternal dropout",
    summary="Sends every batch through the model twice and adds to the loss the squared difference of the "
    "two outputs before the softmax.",
    formula="p, q = outputs before the softmax of two passes under two masks; loss = (loss(p) + loss(q)) / 2 "
    "+ kappa mean((p - q)^2)",
    paper=Paper(
        title="Fraternal Dropout",
        authors=("Zolna, Konrad", "Arpit, Devansh", "Suhubdy, Dendi", "Bengio, Yoshua"),
        year=2018,
        venue="ICLR",
        url="https://arxiv.org/abs/1711.00066",
        bibtex="""@inproceedings{zolna2018fraternal,
  title     = {Fraternal Dropout},
  author    = {Zolna, Konrad and Arpit, Devansh and Suhubdy, Dendi and Bengio, Yoshua},
  booktitle = {International Conference on Learning Representations},
  year      = {2018}
}""",
        checked="the abstract for the reference; the authors' own code (kondiz/fraternal-dropout, main.py "
        "and readme) for the loss, with the mean over all entries; kappa = 0.15 for the single layer of the "
        "master branch, 0.1 for the three layers of the branches PTB and WT2, which hold the paper's best "
        "results",
    ),
    site="output",
    fields=("text", "vision"),
    good_for="Recurrent language models with several kinds of dropout, and regressions, whose outputs have "
    "no probabilities that could be compared. The authors' code takes kappa = 0.15 for one layer and 0.1 for "
    "three.",
    bad_for="Runs whose time is short, as every step costs two passes; models without dropout, whose two "
    "passes are alike; logits of a wild scale, which the term would shrink first of all; models that return "
    "more than a tensor, such as a hidden state to carry on, which need a loop of their own.",
    sketch=_sketch,
    example=Example(
        shape=(2, 8, 32),
        axes="pass b d",
        arguments={"rate": 0.4},
        usage={
            "torch": "model = torch.nn.Sequential(torch.nn.Dropout(0.4), torch.nn.Linear(32, 4))\n"
            "x, y = torch.randn(8, 32), torch.randint(4, (8,))\n"
            "loss = fraternal_dropout(model, x, y, kappa=0.15)\n"
            "loss.backward()"
        },
    ),
    evidence="Zolna et al. 2018 report the best perplexities of their time on Penn Treebank and WikiText-2, "
    "and gains in image captioning and semi-supervised CIFAR-10 (abstract).",
    aliases=("fraternal",),
    layers={"torch": "fraternal_dropout"},
    waived=dict.fromkeys(
        TRAITS, "Zolna et al. 2018 change the loss of training alone; what is dropped is up to the model"
    ),
)
