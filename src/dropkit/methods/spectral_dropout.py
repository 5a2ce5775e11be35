"""Spectral dropout: weak coefficients of a cosine transform are dropped, and a random share of the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropkit.core.check import OneOf
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "WEAK", "along", "basis", "pruned"]

WEAK = OneOf(("pruned", "at_risk"))

_SHAPE, _RATE, _THRESHOLD = (6, 32), 0.3, 0.1


def basis(n: int, xp: Any, device: Any = None) -> Any:
    """Return the orthonormal cosine transform of type II, float64, (frequencies, places).

    Its rows are sqrt(2 / n) cos(pi k (2 j + 1) / (2 n)), the first one divided by sqrt(2). The transpose is
    its inverse.

    >>> basis(2, np).round(4).tolist()
    [[0.7071, 0.7071], [0.7071, -0.7071]]
    """
    k = xp.arange(n, dtype=xp.float64, device=device)
    size = xp.sqrt((1 + xp.sign(k)) / n)
    return size[:, None] * xp.cos(math.pi / n * k[:, None] * (k + 0.5))


def along(x: Any, matrix: Any, axis: int, xp: Any) -> Any:
    """Return the product of a matrix with x along one axis."""
    return xp.moveaxis(xp.moveaxis(x, axis, -1) @ matrix.T, -1, axis)


def pruned(coefficients: Any, coin: Any, threshold: float, rate: float, weak: str, xp: Any) -> Any:
    """Return the coefficients that are left, those that a coin spared times 1 / (1 - rate).

    Args:
        coefficients: of the transform.
        coin: whether the coin of a coefficient, of probability `rate`, says that it falls.
        threshold: a coefficient of at most this size is weak.
        rate: see `coin`.
        weak: `"pruned"`: all weak ones fall, and each other one by its coin. `"at_risk"`: each weak one falls
            by its coin, and no other.
        xp: numpy or torch.

    >>> pruned(np.array([3.0, 0.1]), np.array([False, False]), 0.5, 0.5, "pruned", np).tolist()
    [6.0, 0.0]
    """
    small = abs(coefficients) <= threshold
    spared = coefficients / (1 - rate) if rate < 1 else coefficients
    if weak == "pruned":
        return xp.where(small | coin, 0.0, spared)
    return xp.where(small, xp.where(coin, 0.0, spared), coefficients)


def _sketch(key: Key) -> Array:
    coefficients = along(unit(key.fold("input"), _SHAPE), basis(_SHAPE[1], np), 1, np)
    coin = draws(key, _SHAPE).below(_RATE)
    left = pruned(coefficients, coin, _THRESHOLD, _RATE, "pruned", np)
    return np.asarray(left / coefficients)


METHOD = Method(
    name="spectral_dropout",
    title="Spectral dropout",
    summary="Transforms activations by fixed cosines, drops weak coefficients and a random share of the "
    "rest, and transforms back.",
    formula="c = T x with the orthonormal cosine transform T; c_k = 0 where |c_k| <= eta, and with "
    "probability rate elsewhere; the others grow by 1 / (1 - rate); y = T^-1 c; evaluation: x",
    paper=Paper(
        title="Regularization of Deep Neural Networks with Spectral Dropout",
        authors=("Khan, Salman H.", "Hayat, Munawar", "Porikli, Fatih"),
        year=2019,
        venue="Neural Networks",
        url="https://arxiv.org/abs/1711.08591",
        bibtex="""@article{khan2019regularization,
  title   = {Regularization of Deep Neural Networks with Spectral Dropout},
  author  = {Khan, Salman H. and Hayat, Munawar and Porikli, Fatih},
  journal = {Neural Networks},
  volume  = {110},
  pages   = {82--90},
  year    = {2019},
  doi     = {10.1016/j.neunet.2018.09.009}
}""",
        checked="the abstract and the title page; a survey page and public code for transform, threshold and "
        "coin. The public codes disagree on what the coin is for, hence the two readings of `weak`; scaling, "
        "the axis and the evaluation pass could not be confirmed",
    ),
    site="activation",
    fields=("vision",),
    good_for="Activations whose neighbours, in channels or in space, say much the same: noise is taken off "
    "in a basis in which they do not.",
    bad_for="Layers with few channels; activations on an unknown scale, for which no threshold fits; "
    "deadlines, since each call multiplies by two dense matrices.",
    sketch=_sketch,
    evidence="The abstract reports better results than dropout and DropConnect, convergence about twice as "
    "fast, and about 30 % more pruned neurons.",
    example=Example(
        shape=_SHAPE,
        axes="b frequency",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = SpectralDropout({rate}, threshold=0.1)\n"
            "x = torch.relu(torch.randn(6, 32, 7, 7))  # b c h w; the transform runs over c\n"
            "y = layer(x)"
        },
    ),
    aliases=("dct_dropout", "frequency_dropout"),
    old_names={"tau": "the threshold, in public code", "p_keep": "1 - rate, in public code"},
    layers={"torch": "SpectralDropout"},
    waived={
        "rate": "Khan et al. 2019: coefficients fall, not entries, and weak ones whatever the coin",
        "mean": "Khan et al. 2019: weak coefficients are missing from the mean",
        "groups": "Khan et al. 2019: every entry depends on all coefficients along its axis",
        "independence": "Khan et al. 2019: every entry depends on all coefficients along its axis",
    },
)
