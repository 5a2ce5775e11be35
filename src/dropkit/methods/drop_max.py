"""DropMax: the softmax runs over randomly kept classes, at probabilities that are learned for each input."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import TRAITS, Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["METHOD", "auxiliary", "divergence", "gated", "gates", "negative_entropy"]

_EPS = 1e-20
"""What a dropped class keeps: the authors' code adds it to every gate."""


def gates(logits: Any, u: Any, target: Any, temperature: float = 0.1, xp: Any = np) -> Any:
    """Return the gate of every class: close to 1 with the probability of its logit, else close to 0.

    z = sigmoid((logit + log u - log(1 - u)) / temperature), and 1 for the target class.

    Args:
        logits: those of the probability that a class is kept.
        u: uniform draws in (0, 1), of the same shape.
        target: true at the class that is always kept.
        temperature: above 0; the lower, the harder the gates.
        xp: the module of the arrays, numpy or torch.

    >>> gates(np.zeros(3), np.array([0.1, 0.9, 0.1]), np.array([False, False, True])).round(3).tolist()
    [0.0, 1.0, 1.0]
    """
    z = xp.exp(_log_sigmoid((logits + xp.log(u) - xp.log1p(-u)) / temperature, xp))
    return xp.where(target, 1.0, z)


def gated(outputs: Any, z: Any, xp: Any = np) -> Any:
    """Return the logits of the softmax over gated classes: softmax(o + log(z + 1e-20)) = z exp(o) / sum."""
    return outputs + xp.log(z + _EPS)


def divergence(p: Any, q: Any, target: Any, xp: Any = np) -> Any:
    """Return KL(q || p) of the gates given the label, summed over classes: a number a row.

    The target's gate is known to be 1, so that it costs -log p; the others cost q log(q / p) +
    (1 - q) log((1 - q) / (1 - p)).

    Args:
        p: logits of the prior, which evaluation uses.
        q: logits of the posterior, from which training draws.
        target: true at the class of the label.
        xp: the module of the arrays, numpy or torch.
    """
    kept, gone = _log_sigmoid(p, xp), _log_sigmoid(-p, xp)
    log_q, log_not_q = _log_sigmoid(q, xp), _log_sigmoid(-q, xp)
    other = xp.exp(log_q) * (log_q - kept) + xp.exp(log_not_q) * (log_not_q - gone)
    return xp.where(target, -kept, other).sum(-1)


def auxiliary(r: Any, target: Any, xp: Any = np) -> Any:
    """Return the cross-entropy of the gates r against the label, summed over classes: a number a row."""
    return -xp.where(target, _log_sigmoid(r, xp), _log_sigmoid(-r, xp)).sum(-1)


def negative_entropy(p: Any, xp: Any = np) -> Any:
    """Return sum of p log p + (1 - p) log(1 - p) over classes: a number a row."""
    kept, gone = _log_sigmoid(p, xp), _log_sigmoid(-p, xp)
    return (xp.exp(kept) * kept + xp.exp(gone) * gone).sum(-1)


def _log_sigmoid(x: Any, xp: Any) -> Any:
    return -xp.logaddexp(xp.zeros_like(x), -x)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    rows, classes = METHOD.example.shape
    target = np.arange(classes) == np.arange(rows)[:, None] % classes
    z = gates(np.zeros((rows, classes)), unit(key, (rows, classes)), target)
    return np.asarray(np.round(z))


METHOD = Method(
    name="drop_max",
    title="DropMax",
    summary="Drops classes from the softmax at random, never the right one, with probabilities that are "
    "learned for each input.",
    formula="o, a, r = linear heads of the features; p = sigmoid(a), q = sigmoid(a without gradient + r); "
    "z_k ~ Bernoulli(q_k), relaxed, and 1 for the label; P(k) = z_k exp(o_k) / sum_l z_l exp(o_l); "
    "loss = -log P(y) + KL(q || p) + cross-entropy of sigmoid(r) and the label - entropy(p); "
    "evaluation: z = p",
    paper=Paper(
        title="DropMax: Adaptive Variational Softmax",
        authors=(
            "Lee, Hae Beom",
            "Lee, Juho",
            "Kim, Saehoon",
            "Yang, Eunho",
            "Hwang, Sung Ju",
        ),
        year=2018,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1712.07834",
        bibtex="""@inproceedings{lee2018dropmax,
  title     = {DropMax: Adaptive Variational Softmax},
  author    = {Lee, Hae Beom and Lee, Juho and Kim, Saehoon and Yang, Eunho and Hwang, Sung Ju},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {31},
  pages     = {919--929},
  year      = {2018}
}""",
        checked="NeurIPS's metadata for the reference; the authors' own code (haebeom-lee/dropmax, "
        "layers.py, lenet.py, run.py) for every term of the loss, the temperature 0.1 and the map of "
        "evaluation",
    ),
    site="output",
    fields=("vision", "text"),
    good_for="Classifiers whose classes are confused in small groups, as fine-grained ones are: gates that "
    "stay open show for each input which classes are hard to tell apart.",
    bad_for="Two classes, where dropping one leaves nothing to decide; labels with much noise, which the "
    "gates learn; very many classes, as three heads of that size are trained.",
    sketch=_sketch,
    example=Example(
        shape=(8, 32),
        axes="b class",
        arguments={"rate": 0.5},
        usage={
            "torch": "head = DropMax(16, 32)\n"
            "features, y = torch.randn(8, 16), torch.randint(32, (8,))\n"
            "loss = head.loss(features, y)\n"
            "log_p = head.eval()(features).log_softmax(-1)"
        },
    ),
    evidence="Lee et al. 2018 report better accuracy than the plain softmax on several image sets, and gates "
    "that keep confusing classes more often (abstract).",
    aliases=("dropmax", "adaptive_variational_softmax"),
    layers={"torch": "DropMax"},
    waived={
        trait: "the model of Lee et al. 2018: gates learned for each input, on the exponents of a softmax"
        for trait in TRAITS
        if trait != "key"
    },
)
