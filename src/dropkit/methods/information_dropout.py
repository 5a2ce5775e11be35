"""Information dropout: log-normal noise whose strength the network computes from its input."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import normal

__all__ = ["FLOOR", "METHOD", "factor", "log_normal", "log_uniform", "strength"]

FLOOR = 0.001
"""The least strength of the noise, for the sake of the logarithm: that of the authors' code."""


def strength(gate: Any, max_alpha: float) -> Any:
    """Return alpha between `FLOOR` and `max_alpha`, for a gate in [0, 1].

    >>> strength(np.array([0.0, 1.0]), 0.7).tolist()
    [0.001, 0.7]
    """
    return FLOOR + (max_alpha - FLOOR) * gate


def factor(xp: Any, alpha: Any, z: Any) -> Any:
    """Return the factor of an entry, exp(alpha z): log-normal, with median 1.

    Args:
        xp: the module of the arrays, numpy or torch.
        alpha: the deviation of its logarithm, above 0.
        z: standard normal draws.
    """
    return xp.exp(alpha * z)


def log_uniform(xp: Any, alpha: Any, max_alpha: float) -> Any:
    """Return the divergence of an entry from the log-uniform prior: -log(alpha / max_alpha), 0 at the cap.

    It is meant for units with ReLU, and up to a constant.
    """
    return -xp.log(alpha / max_alpha)


def log_normal(xp: Any, log_output: Any, alpha: Any, mean: Any, deviation: Any) -> Any:
    """Return the divergence of N(log f(x), alpha**2) from a normal prior of the logarithm.

    It is meant for units with softplus, whose logarithm is about normal.

    >>> float(log_normal(np, 0.0, np.array(1.0), 0.0, np.array(1.0)))
    0.0
    """
    ratio, shift = alpha / deviation, (log_output - mean) / deviation
    return 0.5 * (ratio * ratio + shift * shift - 1) - xp.log(ratio)


def _sketch(key: Key) -> Array:
    alpha = strength(np.linspace(0, 1, 32), 0.7)
    return np.asarray(factor(np, alpha, normal(key, (16, 32))))


METHOD = Method(
    name="information_dropout",
    title="Information dropout",
    summary="Multiplies activations by log-normal noise whose strength is computed from the input, so "
    "that what does not matter for the task is drowned.",
    formula="y = f(x) exp(alpha(x) z), z standard normal, 0 < alpha <= 0.7; loss + beta mean over rows of "
    "sum KL; KL = -log(alpha / 0.7) for ReLU, KL(N(log f, alpha^2) || N(mu, sigma^2)) for softplus",
    paper=Paper(
        title="Information Dropout: Learning Optimal Representations Through Noisy Computation",
        authors=("Achille, Alessandro", "Soatto, Stefano"),
        year=2018,
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        url="https://arxiv.org/abs/1611.01353",
        bibtex="""@article{achille2018information,
  title   = {Information Dropout: Learning Optimal Representations Through Noisy Computation},
  author  = {Achille, Alessandro and Soatto, Stefano},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume  = {40},
  number  = {12},
  pages   = {2897--2905},
  year    = {2018}
}""",
        checked="a library's page and the arXiv abstract for the reference; the authors' own code "
        "(ucla-vision/information-dropout, cifar.py and utils.py) for the law, both divergences and the "
        "cap, which lies there at 0.701",
    ),
    site="activation",
    fields=("vision",),
    good_for="Images with clutter and occlusions, and small networks: noise grows where the input says "
    "nothing of the label. It goes behind a ReLU with the log-uniform prior, behind a softplus with the "
    "log-normal one.",
    bad_for="Training loops that cannot add a term to the loss of each batch; layers behind other "
    "activations; networks with BatchNorm behind it, whose statistics the authors compute anew without "
    "noise.",
    sketch=_sketch,
    evidence="Achille and Soatto 2018 report that it generalizes as well as dropout or better, most of all "
    "in small models (abstract).",
    example=Example(
        shape=(16, 32),
        axes="b d",
        usage={
            "torch": "from torch import nn\n"
            "from dropkit.torch import penalty\n\n"
            "layer = InformationDropout(\n"
            "    nn.Sequential(nn.Linear(8, 32), nn.ReLU()), noise=nn.Linear(8, 32), beta=1e-4\n"
            ")\n"
            "y = layer(torch.randn(16, 8))\n"
            "loss = y.square().mean() + penalty(layer)"
        },
    ),
    aliases=("log_normal_dropout",),
    layers={"torch": "InformationDropout"},
    waived={
        "mean": "cifar.py: the median of the factor is 1, its mean is exp(alpha^2 / 2)",
        "edges": "cifar.py: the noise is never off, alpha >= 0.001, and drops nothing outright",
    },
)
