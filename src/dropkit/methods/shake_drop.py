"""ShakeDrop: a residual branch is sometimes scaled by a random factor, ahead and back by different ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import Interval, OneOf
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["COINS", "FACTOR", "METHOD", "PER", "STRENGTHS", "between", "expected", "factor"]

COINS = {"sample": "b ... -> b", "batch": "... ->", "channel": "b ... -> b", "element": "b ... -> b"}
"""Who shares the coin that says whether a branch is shaken."""

STRENGTHS = {"sample": "b ... -> b", "batch": "... ->", "channel": "b c ... -> b c", "element": "..."}
"""Who shares alpha, and who shares beta."""

PER = OneOf(tuple(COINS))

FACTOR = Interval(-1e6, 1e6, "give a range of factors, e.g. (-1.0, 1.0)")
_SHAPE, _RATE, _RANGE = (16, 8), 0.5, (-1.0, 1.0)


def factor(shaken: Any, strength: Any, xp: Any) -> Any:
    """Return b + strength - b strength, where b = 0 for a shaken branch and 1 otherwise.

    That is 1 or the strength; choosing it keeps the 1 exact.

    >>> factor(np.array([False, True]), np.array([-0.3, -0.3]), np).tolist()
    [1.0, -0.3]
    """
    return xp.where(shaken, strength, 1.0)


def between(u: Any, low: Any, high: Any) -> Any:
    """Return uniform numbers in (low, high) from such in (0, 1).

    >>> between(0.25, -1.0, 1.0)
    -0.5
    """
    return low + (high - low) * u


def expected(rate: float, low: float, high: float) -> float:
    """Return E[b + alpha - b alpha] for b = 1 with probability 1 - rate and alpha uniform: the eval map.

    >>> expected(0.5, -1.0, 1.0), expected(0.5, 0.0, 1.0)
    (0.5, 0.75)
    """
    return (1 - rate) + rate * (low + high) / 2


def _sketch(key: Key) -> Array:
    shaken = draws(key.fold("coin"), _SHAPE, COINS["sample"]).below(_RATE)
    alpha = between(unit(key.fold("alpha"), _SHAPE, STRENGTHS["sample"]), *_RANGE)
    return np.asarray(np.broadcast_to(factor(shaken, alpha, np), _SHAPE))


METHOD = Method(
    name="shake_drop",
    title="ShakeDrop",
    summary="Scales a residual branch by a random factor, negative ones too, but only where a coin says so, "
    "and its gradient by another factor.",
    formula="b = 0 with probability rate, else 1; alpha ~ U(-1, 1), beta ~ U(0, 1); training: "
    "y = x + (b + alpha - b alpha) F(x), with beta in the place of alpha in backward; evaluation: "
    "y = x + E[b + alpha - b alpha] F(x)",
    paper=Paper(
        title="ShakeDrop Regularization for Deep Residual Learning",
        authors=("Yamada, Yoshihiro", "Iwamura, Masakazu", "Akiba, Takuya", "Kise, Koichi"),
        year=2019,
        venue="IEEE Access",
        url="https://arxiv.org/abs/1802.02375",
        bibtex="""@article{yamada2019shakedrop,
  title   = {ShakeDrop Regularization for Deep Residual Learning},
  author  = {Yamada, Yoshihiro and Iwamura, Masakazu and Akiba, Takuya and Kise, Koichi},
  journal = {IEEE Access},
  year    = {2019},
  doi     = {10.1109/ACCESS.2019.2960566}
}""",
        checked="the abstract and the title page; descriptions and public code (google-research) that cite "
        "equation (6) for the law and the ranges",
    ),
    site="branch",
    fields=("vision",),
    good_for="Very deep residual networks with one branch in each block and a long training: ResNet, Wide "
    "ResNet, PyramidNet. Let the rate grow linearly with depth up to 0.5: `dropkit.depth_rates`.",
    bad_for="Short trainings, which it makes unstable; branches without batch normalisation at their end; "
    "plain networks without residual branches.",
    sketch=_sketch,
    evidence="The abstract finds it more effective than Shake-Shake and usable beyond ResNeXt. The readme of "
    "a public Flax implementation with PyramidNet says that its result, 3.26 % error on CIFAR-10, does not "
    "match those of the literature.",
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": _RATE},
        usage={
            "torch": "import dropkit\n\n"
            "branches = [ShakeDrop(p) for p in dropkit.depth_rates({rate}, 4)]\n"
            "x, made = torch.randn(2, 16, 8)  # made: what a block made of x\n"
            "y = x + branches[-1](made)"
        },
    ),
    aliases=("shakedrop",),
    old_names={
        "p_drop": "the probability that a branch is shaken: 1 - p_l of the paper",
        "mask_prob": "p_l, the probability that a branch passes unchanged",
    },
    layers={"torch": "ShakeDrop"},
    waived={
        "rate": "equation (6) of the arXiv text: a shaken branch is scaled by alpha, not dropped",
        "gradient": "equation (6): backward has a factor of its own, beta",
        "mean": "equation (6): the mean is the eval map, E[b + alpha - b alpha]",
    },
)
