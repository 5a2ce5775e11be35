"""L0 gates: each unit or weight has a gate that learns to be exactly 0 or 1, at a price for each open one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["BETA", "GAMMA", "METHOD", "ZETA", "chance_open", "hard_concrete", "settled_gate"]

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
"""Temperature and limits of the paper: a binary concrete number in (0, 1) is stretched to (GAMMA, ZETA)."""


def hard_concrete(log_alpha: Any, u: Any, xp: Any = np, beta: float = BETA) -> Any:
    """Return gates drawn from the hard concrete distribution: 0 and 1 both have a probability of their own.

    s = sigmoid((log u - log(1 - u) + log alpha) / beta); z = min(1, max(0, s (zeta - gamma) + gamma))
    (Louizos et al. 2018, with gamma = -0.1 and zeta = 1.1).

    Args:
        log_alpha: the parameter of each gate.
        u: uniform draws in (0, 1), one for each gate.
        xp: numpy or torch.
        beta: the temperature, above 0.

    >>> hard_concrete(np.array([-5.0, 0.0, 5.0]), 0.5)
    array([0. , 0.5, 1. ])
    """
    return _stretched((xp.log(u) - xp.log(1 - u) + log_alpha) / beta, xp)


def settled_gate(log_alpha: Any, xp: Any = np) -> Any:
    """Return the gates of evaluation: min(1, max(0, sigmoid(log alpha) (zeta - gamma) + gamma)).

    >>> settled_gate(np.array([-3.0, 0.0, 3.0]))
    array([0. , 0.5, 1. ])
    """
    return _stretched(log_alpha, xp)


def chance_open(log_alpha: Any, xp: Any = np, beta: float = BETA) -> Any:
    """Return the probability that a gate is not 0: sigmoid(log alpha - beta log(-gamma / zeta)).

    Their sum is the expected L0 norm, the penalty of the paper.

    >>> chance_open(np.array([-30.0, 0.0, 30.0])).round(3)
    array([0.   , 0.832, 1.   ])
    """
    return 1 / (1 + xp.exp(beta * math.log(-GAMMA / ZETA) - log_alpha))


def _stretched(logit: Any, xp: Any) -> Any:
    # Beyond +-60 the number is 0 or 1 to the last digit, and exp stays finite.
    s = 1 / (1 + xp.exp(-xp.clip(logit, -60.0, 60.0)))
    return xp.clip(s * (ZETA - GAMMA) + GAMMA, 0.0, 1.0)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    log_alpha = np.linspace(-4, 4, 32)
    return np.asarray(hard_concrete(log_alpha, unit(key, (16, 32), "b d -> b d")))


METHOD = Method(
    name="l0_gates",
    title="L0 regularization with hard concrete gates",
    summary="Multiplies units or weights by gates that learn to be exactly zero or one, at a price for each "
    "one that is likely open.",
    formula="s = sigmoid((log u - log(1 - u) + log alpha) / beta), z = min(1, max(0, 1.2 s - 0.1)), y = z x; "
    "loss + weight sum of sigmoid(log alpha - beta log(0.1 / 1.1)); evaluation: z = min(1, max(0, "
    "1.2 sigmoid(log alpha) - 0.1)); beta = 2/3",
    paper=Paper(
        title="Learning Sparse Neural Networks through L0 Regularization",
        authors=("Louizos, Christos", "Welling, Max", "Kingma, Diederik P."),
        year=2018,
        venue="ICLR",
        url="https://arxiv.org/abs/1712.01312",
        bibtex="""@inproceedings{louizos2018learning,
  title     = {Learning Sparse Neural Networks through L0 Regularization},
  author    = {Louizos, Christos and Welling, Max and Kingma, Diederik P.},
  booktitle = {International Conference on Learning Representations},
  year      = {2018},
  url       = {https://arxiv.org/abs/1712.01312}
}""",
        checked="a copy of the paper's first page for the reference; the authors' own code "
        "(L0_regularization, l0_layers.py) for the law, the constants and the gates of evaluation",
    ),
    site="activation",
    fields=("vision", "tabular", "text"),
    good_for="Finding which inputs, units, heads or channels a network can do without while it trains: what "
    "is shut is exactly 0 and can be cut out. Give the gates no weight decay and more learning rate.",
    bad_for="Tuning on a tight budget, for the price of a gate must be found by trial; gates that all shut "
    "early, which get little gradient and hardly open again.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="b d",
        usage={
            "torch": "gates = L0Gates(32, weight=0.01)\n"
            "y = gates(torch.randn(16, 32))\n"
            "loss = y.square().mean() + gates.penalty()"
        },
    ),
    evidence="The State of Sparsity in Deep Neural Networks (Gale et al. 2019, arXiv 1902.09574) found on "
    "tasks that plain magnitude pruning does as well as or better than this and sparse variational dropout, "
    "as summaries of it tell.",
    aliases=("l0_regularization", "hard_concrete"),
    layers={"torch": "L0Gates"},
    waived={
        "rate": "the authors' code (l0_layers.py): the probability of 0 is learned, gate by gate",
        "moments": "as for rate: the law of a gate is learned, with values between 0 and 1",
        "mean": "as for rate: a gate is at most 1, and nothing is scaled",
        "eval": "as for rate: evaluation multiplies by the settled gate, which is no expected value",
    },
)
