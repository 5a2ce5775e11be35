"""Concrete dropout: the rate is learned by gradient descent, through a relaxed mask and a penalty."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropkit.core.check import Interval, Whole
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["LENGTH", "METHOD", "PRECISION", "ROWS", "START", "TEMPERATURE", "factor", "penalty"]


def _above(mend: str) -> Interval:
    return Interval(0, math.inf, mend, open_low=True, open_high=True)


ROWS = Whole(1, "give the number of rows of the training data, e.g. len(dataset)")
START = Interval(0, 1, "begin e.g. at 0.1", open_low=True, open_high=True)
LENGTH = _above("give that of the prior, e.g. 1e-4")
PRECISION = _above("give 1 / variance of the noise of the targets")
TEMPERATURE = _above("take the paper's 0.1")


def factor(xp: Any, u: Any, logit: Any, temperature: float, rest: Any = None) -> Any:
    """Return the relaxed mask over the keep probability: z / (1 - p), z = sigmoid(-(logit p + logit u) / t).

    The smaller the temperature t, the closer z is to a coin: 0 with probability p, else 1.

    Args:
        xp: the module of the arrays: numpy, torch or the like.
        u: uniform draws in (0, 1).
        logit: log(p / (1 - p)) of the rate p.
        temperature: above 0; the paper takes 0.1.
        rest: 1 - u, where the type of u is too narrow to tell a u next to 1 from 1, as float32 is.

    >>> factor(np, np.array([0.01, 0.99]), np.array(0.0), 0.1).round(6).tolist()
    [2.0, 0.0]
    """
    gate = (logit + xp.log(u) - (xp.log1p(-u) if rest is None else xp.log(rest))) / temperature
    return xp.exp(_softplus(xp, logit) - _softplus(xp, gate))


def penalty(
    xp: Any,
    logit: Any,
    squares: Any,
    inputs: int,
    rows: int,
    length_scale: float,
    precision: float | None = None,
) -> Any:
    """Return what a layer adds to the mean loss: c / N (l**2 / 2 ||W||**2 / (1 - p) - K H(p)).

    Equation (3) of the paper has l**2 / 2 (1 - p) ||M||**2 for a layer that computes M (z x). Here z is
    divided by 1 - p, so that M = W / (1 - p). H is the entropy of a coin in nats, K the number of inputs that
    have one.

    Args:
        xp: the module of the arrays: numpy, torch or the like.
        logit: log(p / (1 - p)) of the rate p.
        squares: ||W||**2, the sum over the layer's weights.
        inputs: K.
        rows: N, the number of rows of the training data.
        length_scale: l, that of the prior on the weights.
        precision: tau where the loss is a mean squared error: c = 2 / tau. None where it is a negative
            log-likelihood, e.g. cross-entropy: c = 1.
    """
    kept, dropped = -_softplus(xp, logit), -_softplus(xp, -logit)  # their logarithms
    entropy = -xp.exp(dropped) * dropped - xp.exp(kept) * kept
    c = 1.0 if precision is None else 2 / precision
    return c / rows * (length_scale**2 / 2 * squares * xp.exp(-kept) - inputs * entropy)


def _softplus(xp: Any, x: Any) -> Any:
    return xp.logaddexp(0 * x, x)


def _sketch(key: Key) -> Array:
    return np.asarray(factor(np, unit(key, (16, 32)), np.array(math.log(0.3 / 0.7)), 0.1))


METHOD = Method(
    name="concrete_dropout",
    title="Concrete dropout",
    summary="Learns the rate of each layer together with its weights, by a mask that is soft enough to have "
    "a gradient.",
    formula="z = sigmoid(-(logit(p) + logit(u)) / t), u uniform, t = 0.1; y = W (x z / (1 - p)); loss + "
    "c / N (l^2 / 2 ||W||^2 / (1 - p) - K H(p)), c = 1, or 2 / tau for a squared error",
    paper=Paper(
        title="Concrete Dropout",
        authors=("Gal, Yarin", "Hron, Jiri", "Kendall, Alex"),
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1705.07832",
        bibtex="""@inproceedings{gal2017concrete,
  title     = {Concrete Dropout},
  author    = {Gal, Yarin and Hron, Jiri and Kendall, Alex},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  year      = {2017}
}""",
        checked="NeurIPS's page for the reference; the first author's own code "
        "(concrete-dropout-keras.ipynb) for the law, and his answers in issues 1 and 8 of "
        "yaringal/ConcreteDropout for equation (3) and the factor 1 / (1 - p)",
    ),
    site="activation",
    fields=("tabular", "vision", "rl"),
    good_for="Uncertainty by Monte Carlo passes without a search over rates: each layer finds its own, and "
    "with more data it falls. Give the number of training rows; nothing else has to be tuned at first.",
    bad_for="Models whose only aim is accuracy, where a constant rate does; training without a count of "
    "rows, e.g. an endless stream; weight decay on the same weights, which would count the prior twice.",
    sketch=_sketch,
    evidence="For: Gal et al. 2017 report improved performance and better calibrated uncertainty (abstract). "
    "Against: Hron et al. 2018 show that the objective is ill-defined as a variational one, since such a "
    "distribution is singular to the true posterior (abstract of arXiv 1807.01969).",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.3},
        usage={
            "torch": "from dropkit.torch import penalty\n\n"
            "layer = ConcreteDropout(torch.nn.Linear(32, 8), rows=1000)\n"
            "y = layer(torch.randn(16, 32))\n"
            "loss = y.square().mean() + penalty(layer)"
        },
    ),
    aliases=("concrete",),
    old_names={
        "dropout_regularizer": "2 / (tau N), which follows from rows and precision",
        "weight_regularizer": "l^2 / (tau N), which follows from rows, precision and length_scale",
    },
    around="layer",
    layers={"torch": "ConcreteDropout", "keras": "ConcreteDropout"},
    waived={
        "rate": "concrete-dropout-keras.ipynb: the mask is soft, and its law is examined instead",
        "mean": "concrete-dropout-keras.ipynb: z / (1 - p) has mean 1 only as the temperature goes to 0",
        "edges": "concrete-dropout-keras.ipynb: the rate is a sigmoid, inside of (0, 1)",
    },
)
