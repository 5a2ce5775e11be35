"""Whiteout: Gaussian noise on units, larger towards small weights than towards large ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.noise import Gaussian
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "contribution", "variance"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def variance(w: Any, sigma: float, gamma: float, ridge: float) -> Any:
    """Return the variance of a unit's noise on its way through a weight: sigma^2 |w|^-gamma + ridge.

    Args:
        w: weights, none of them 0.
        sigma: at least 0.
        gamma: in (0, 2): how fast the noise grows as a weight shrinks.
        ridge: lambda, at least 0: the variance that does not depend on the weight.

    >>> variance(0.25, 0.5, 1.0, 0.1)
    1.1
    """
    return sigma**2 * abs(w) ** -gamma + ridge


def contribution(w: Any, sigma: float, gamma: float, ridge: float) -> Any:
    """Return the variance of that noise times w: sigma^2 |w|^(2 - gamma) + ridge w^2, finite at w = 0.

    Summed over the weights of a unit of the next layer it is the variance of its pre-activation. It is what
    the expected loss of a linear model is penalised by: gamma 1 gives the lasso, ridge the L2 penalty.

    >>> contribution(0.0, 0.5, 1.5, 0.1)
    0.0
    """
    return sigma**2 * abs(w) ** (2 - gamma) + ridge * w * w


def _sketch(key: Key) -> Array:
    """Draw the factors of multiplicative noise: one for each weight, of which each row has one size."""
    w = 0.05 + unit(key.fold("example"), (_SHAPE[0], 1))
    words = draws(key, _SHAPE)
    return np.asarray(1 + variance(w, 0.3, 1.0, 0.0) ** 0.5 * Gaussian().standard(np, words.u, words.second))


METHOD = Method(
    name="whiteout",
    title="Whiteout",
    summary="Adds Gaussian noise to units, or multiplies them by it, with a variance that grows as the "
    "weight behind it shrinks.",
    formula="towards unit k of the next layer, unit j is x_j + e_jk with e_jk ~ N(0, sigma^2 |w_jk|^-gamma + "
    "ridge), or x_j e_jk with e_jk ~ N(1, the same); evaluation: x_j",
    paper=Paper(
        title="Whiteout: Gaussian Adaptive Noise Regularization in Deep Neural Networks",
        authors=("Li, Yinan", "Liu, Fang"),
        year=2016,
        venue="arXiv",
        url="https://arxiv.org/abs/1612.01490",
        bibtex="""@article{li2016whiteout,
  title   = {Whiteout: Gaussian Adaptive Noise Regularization in Deep Neural Networks},
  author  = {Li, Yinan and Liu, Fang},
  journal = {arXiv preprint arXiv:1612.01490},
  year    = {2016}
}""",
        checked="a detailed public summary of the paper (its equations 1, 2, 8 and 9) for the law and the "
        "penalties; the abstract for the claims and the reference",
    ),
    site="activation",
    fields=("tabular", "vision"),
    good_for="Small data sets and networks that should become sparse: the noise penalises weights as a lasso "
    "does (gamma 1) without a term in the loss. The paper finds gamma between 0.5 and 1.5 often suitable.",
    bad_for="A gamma near 2, where the noise of small weights is large and predictions get poor; noise "
    "larger than the variation of the units themselves; very wide layers in half precision.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="k j",
        arguments={"sigma": 0.3, "gamma": 1.0},
        usage={
            "torch": "layer = Whiteout(torch.nn.Linear(32, 16), sigma=0.3, gamma=1.0)\n"
            "y = layer(torch.randn(8, 32))"
        },
    ),
    evidence="Li and Liu 2016 report in their abstract that on relatively small training sets it is superior "
    "to dropout and shakeout, and not inferior on large ones.",
    aliases=("white_out", "gaussian_adaptive_noise"),
    around="layer",
    layers={"torch": "Whiteout"},
    waived={
        "rate": "Li and Liu 2016, equation (1): the noise is Gaussian, nothing is dropped",
        "moments": "Li and Liu 2016, equation (1): the variance depends on each weight",
        "edges": "Li and Liu 2016, equation (1): there is no rate",
    },
)
