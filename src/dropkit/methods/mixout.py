"""Mixout: dropout of weights towards the pretrained ones instead of towards zero."""

from __future__ import annotations

from typing import Any, Literal

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "mixout"]

_PER = OneOf(("neuron", "weight"))


def mixout(rate: Any, per: Literal["neuron", "weight"] = "neuron") -> Drop:
    """Return mixout, to be applied to a weight `(outputs, inputs, ...)` with the pretrained one as `fill`.

    A dropped entry becomes u, a kept one (w - rate u) / (1 - rate): together
    ((1 - M) u + M w - rate u) / (1 - rate), whose mean is w (Lee et al. 2020).

    Args:
        rate: the probability that a weight is replaced, in [0, 1]; at 1 all are.
        per: one coin for all weights that go out from one `"neuron"`, as in mixout, or one for each
            `"weight"`, as in DropConnect.

    >>> import numpy
    >>> from dropkit.core.reference import apply
    >>> apply(numpy.ones((2, 4)), mixout(0.5), key=1, fill=numpy.full((2, 4), 3.0))
    array([[-1.,  3., -1., -1.],
           [-1.,  3., -1., -1.]])
    """
    return Drop(rate, "o i ... -> i" if _PER.check("per", per) == "neuron" else "...")


METHOD = Method(
    name="mixout",
    title="Mixout",
    summary="Replaces weights at random by the pretrained ones while a model is fine-tuned, and corrects the "
    "others so that the mean stays.",
    formula="M ~ Bernoulli(1 - rate), one for the weights that go out from one neuron; "
    "w' = ((1 - M) u + M w - rate u) / (1 - rate) with u the pretrained weight; evaluation: w",
    paper=Paper(
        title="Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models",
        authors=("Lee, Cheolhyoung", "Cho, Kyunghyun", "Kang, Wanmo"),
        year=2020,
        venue="ICLR",
        url="https://arxiv.org/abs/1909.11299",
        bibtex="""@inproceedings{lee2020mixout,
  title     = {Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models},
  author    = {Lee, Cheolhyoung and Cho, Kyunghyun and Kang, Wanmo},
  booktitle = {International Conference on Learning Representations},
  year      = {2020},
  url       = {https://openreview.net/forum?id=HkgaETNtDB}
}""",
        checked="OpenReview's page for the reference; the authors' own code (mixout.py) and the paper's "
        "introduction for the law",
    ),
    site="weight",
    fields=("text", "vision", "speech"),
    good_for="Fine-tuning a large pretrained model on few rows, where some runs fail: weights are pulled "
    "back to where they came from. High rates are usual, for the pretrained weights are a good place.",
    bad_for="Training from scratch, where there is nothing to go back to, and layers that were initialised "
    "anew, such as a classifier head; memory that has no room for a second copy of the weights.",
    sketch=lambda key: mask(key, (16, 32), mixout(0.5)),
    instead="the pretrained weight",
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = Mixout(torch.nn.Linear(32, 16), 0.5)  # its weights of now are those\n"
            "y = layer(torch.randn(8, 32))",
        },
    ),
    evidence="The abstract reports that fine-tuning BERT on GLUE became more stable and on average more "
    "accurate (Lee et al. 2020). The authors' code leaves the factor 1 / (1 - rate) out of the gradient; "
    "here the gradient is that of the formula.",
    aliases=("mix_out",),
    around="module",
    layers={"torch": "Mixout"},
)
