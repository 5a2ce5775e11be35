"""Standout: a unit is dropped with a probability that its own pre-activation decides."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "rate"]


def rate(xp: Any, score: Any, alpha: float, beta: float) -> Any:
    """Return the probability that a unit is dropped: 1 - sigmoid(alpha score + beta).

    Args:
        xp: the module of the arrays, numpy or torch.
        score: W x + b of the unit, before its activation.
        alpha: how much the score matters; at 0 it does not, and this is dropout.
        beta: the higher, the less is dropped: at plus infinity nothing, at minus infinity everything.

    >>> rate(np, np.array([-2.0, 0.0, 2.0]), 1.0, 0.0).round(2).tolist()
    [0.88, 0.5, 0.12]
    """
    return 0.5 - 0.5 * xp.tanh((alpha * score + beta) / 2)


def _sketch(key: Key) -> Array:
    rates = rate(np, np.linspace(-4, 4, 32), 1.0, 0.0)
    return np.where(draws(key, (16, 32)).below(rates), 0.0, 1.0)


METHOD = Method(
    name="standout",
    title="Standout (adaptive dropout)",
    summary="Keeps a unit the more surely the stronger it is excited, with the weights of the layer itself "
    "as those of the gate.",
    formula="s = W x + b; keep = sigmoid(alpha s + beta); training: y = g(s) kept, kept ~ Bernoulli(keep); "
    "evaluation: y = g(s) keep",
    paper=Paper(
        title="Adaptive dropout for training deep neural networks",
        authors=("Ba, Jimmy", "Frey, Brendan"),
        year=2013,
        venue="NIPS",
        url="https://papers.nips.cc/paper/5032-adaptive-dropout-for-training-deep-neural-networks",
        bibtex="""@inproceedings{ba2013adaptive,
  title     = {Adaptive dropout for training deep neural networks},
  author    = {Ba, Jimmy and Frey, Brendan},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {26},
  pages     = {3084--3092},
  year      = {2013}
}""",
        checked="NIPS's page and a citing bibliography for the reference; two replications "
        "(mabirck/adaptative-dropout-pytorch and gngdb/adaptive-standout) for the law. They differ: the "
        "first has sigmoid(alpha W x + beta), the second adds beta to each weight of the gate; both without "
        "the layer's bias, which we include, as W x + b is the score of the unit. Not confirmed: whether the "
        "paper's gate has it",
    ),
    site="activation",
    fields=("vision", "tabular"),
    good_for="Autoencoders and dense classifiers, where weak units carry noise: alpha 1 and beta 0 keep "
    "what stands out. At alpha 0 it is dropout of one rate, so that both can be compared.",
    bad_for="Layers whose weak and negative scores carry meaning; architectures with a normalization "
    "behind it, since kept units are not scaled in training.",
    sketch=_sketch,
    evidence="Ba and Frey 2013 report errors of 0.80 % on MNIST and 5.8 % on NORB, below those of dropout "
    "(an abstract of the paper).",
    example=Example(
        shape=(16, 32),
        axes="b d",
        usage={
            "torch": "layer = Standout(torch.nn.Linear(8, 32), torch.nn.ReLU(), alpha=1.0, beta=0.0)\n"
            "y = layer(torch.randn(16, 8))"
        },
    ),
    aliases=("adaptive_dropout",),
    layers={"torch": "Standout"},
    waived={
        "mean": "mabirck/adaptative-dropout-pytorch: the expected output is keep g(s), the eval map",
    },
)
