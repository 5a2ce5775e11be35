"""Shake-Shake: two residual branches are mixed by one random share ahead and by another one back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dropkit.core.check import OneOf
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["BACKWARD", "FORWARD", "METHOD", "PATTERNS", "PER", "shares", "weights"]

FORWARD, BACKWARD = OneOf(("shake", "even")), OneOf(("shake", "even", "keep"))
PATTERNS = {"sample": "b ... -> b", "batch": "... ->"}
PER = OneOf(tuple(PATTERNS))

_SHAPE = (8, 2, 6)


def shares(forward: str, backward: str, draw: Callable[[str], Any]) -> tuple[Any, Any]:
    """Return the share of the first branch in the forward pass, alpha, and in the backward pass, beta.

    Args:
        forward: `"shake"` for a uniform number, `"even"` for one half.
        backward: the same, or `"keep"` for alpha itself.
        draw: makes uniform numbers in (0, 1) for `"alpha"` and `"beta"`.

    >>> shares("shake", "keep", lambda name: 0.25)
    (0.25, 0.25)
    """
    alpha = draw("alpha") if forward == "shake" else 0.5
    if backward == "keep":
        return alpha, alpha
    return alpha, draw("beta") if backward == "shake" else 0.5


def weights(share: Any) -> tuple[Any, Any]:
    """Return the weights of both branches, which sum to 1.

    >>> weights(0.25)
    (0.25, 0.75)
    """
    return share, 1 - share


def _sketch(key: Key) -> Array:
    def draw(name: str) -> Array:
        return unit(key.fold(name), (_SHAPE[0], 1, 1), PATTERNS["sample"])

    alpha, _ = shares("shake", "keep", draw)
    return np.asarray(np.broadcast_to(np.concatenate(weights(alpha), 1), _SHAPE))


METHOD = Method(
    name="shake_shake",
    title="Shake-Shake",
    summary="Mixes two residual branches by a random share, and their gradients by another one.",
    formula="alpha, beta ~ U(0, 1) for each image; training: y = x + alpha F1(x) + (1 - alpha) F2(x), with "
    "beta in the place of alpha in backward; evaluation: both are 1/2",
    paper=Paper(
        title="Shake-Shake regularization",
        authors=("Gastaldi, Xavier",),
        year=2017,
        venue="arXiv",
        url="https://arxiv.org/abs/1705.07485",
        bibtex="""@article{gastaldi2017shake,
  title   = {Shake-Shake regularization},
  author  = {Gastaldi, Xavier},
  journal = {arXiv preprint arXiv:1705.07485},
  year    = {2017}
}""",
        checked="the abstract; the author's own code (xgastaldi/shake-shake) for the law",
    ),
    site="branch",
    fields=("vision",),
    good_for="Residual networks with two branches of one shape in each block that overfit, with time for a "
    "long training: the author's code runs 1800 epochs.",
    bad_for="Blocks with a single branch (take ShakeDrop), short trainings, networks without batch "
    "normalisation behind the branches.",
    sketch=_sketch,
    evidence="The author's readme gives CIFAR-10 error rates of a 26 2x64d network: 3.63 % with even shares, "
    "2.99 % with shares a batch, 2.82 % with shares an image. The abstract reports 2.86 % on CIFAR-10 and "
    "15.85 % on CIFAR-100.",
    example=Example(
        shape=_SHAPE,
        axes="b branch d",
        usage={
            "torch": "mix = ShakeShake()\n"
            "x, first, second = torch.randn(3, 8, 16, 4, 4)  # b c h w; what two branches made of x\n"
            "y = x + mix(first, second)"
        },
    ),
    aliases=("shakeshake", "shake_shake_image"),
    layers={"torch": "ShakeShake"},
    waived={
        "rate": "Gastaldi 2017: no branch is dropped, its share is uniform",
        "gradient": "shakeshakeblock.lua, updateGradInput: backward has a share of its own, but for keep",
        "mean": "shakeshakeblock.lua, updateOutput: the mean of both branches, which is the eval map",
    },
)
