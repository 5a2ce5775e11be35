"""Swapout: each unit of a residual block keeps or loses its skip and its branch, by two coins."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["BRANCH", "METHOD", "SKIP", "swapout"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)
SKIP, BRANCH = "swapout.skip", "swapout.branch"
"""By which names a key is folded for the coins of the skip and of the branch."""


def swapout(rate: float, skip_rate: float | None = None) -> tuple[Drop, Drop]:
    """Return what happens to the skip and to the branch: y = a x + b F(x), one coin a unit for each of both.

    a ~ Bernoulli(1 - skip_rate), b ~ Bernoulli(1 - rate) (Singh et al. 2016). So a unit is one of four: 0
    (dropout), x (skipped), F(x) (feedforward), x + F(x) (residual). Deterministic inference takes the
    expected value, hence scale="eval"; stochastic inference averages passes that draw.

    Args:
        rate: the probability that a unit loses its branch, in [0, 1].
        skip_rate: the probability that a unit loses its skip; None for that of the branch.

    >>> [part.rate for part in swapout(0.5, 0.2)]
    [0.2, 0.5]
    """
    return Drop(rate if skip_rate is None else skip_rate, scale="eval"), Drop(rate, scale="eval")


def _sketch(key: Key) -> Array:
    """Draw how many of the two parts a unit keeps."""
    skip, branch = swapout(0.5)
    return np.asarray(mask(key.fold(SKIP), _SHAPE, skip) + mask(key.fold(BRANCH), _SHAPE, branch))


METHOD = Method(
    name="swapout",
    title="Swapout",
    summary="Makes each unit of a residual block report nothing, its input, its output or their sum.",
    formula="a ~ Bernoulli(1 - skip_rate), b ~ Bernoulli(1 - rate) for each unit; training: y = a x + "
    "b F(x); evaluation: y = (1 - skip_rate) x + (1 - rate) F(x), or the mean of passes that draw",
    paper=Paper(
        title="Swapout: Learning an ensemble of deep architectures",
        authors=("Singh, Saurabh", "Hoiem, Derek", "Forsyth, David"),
        year=2016,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1605.06465",
        bibtex="""@inproceedings{singh2016swapout,
  title     = {Swapout: Learning an ensemble of deep architectures},
  author    = {Singh, Saurabh and Hoiem, Derek and Forsyth, David},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {29},
  year      = {2016}
}""",
        checked="the paper's published reviews, a reading group's summary and public code (Swapout.lua) for "
        "the law; the abstract for the claim and the reference",
    ),
    site="branch",
    fields=("vision",),
    good_for="Residual networks that should do with fewer, wider layers. Let the rates grow with depth; "
    "average several passes in mode mc at evaluation where time allows.",
    bad_for="One deterministic pass after batch normalization, whose statistics were those of training; "
    "first layers at a high rate, which lose the input itself.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = Swapout({rate})\n"
            "x, branch = torch.randn(2, 16, 32)\n"
            "y = layer(x, branch)  # instead of x + branch"
        },
    ),
    evidence="Singh et al. 2016 report in their abstract that a wider network of 32 layers performs on "
    "CIFAR-10 and CIFAR-100 like a ResNet of 1001 layers. Their reviewers note that it goes badly with batch "
    "normalization where inference is deterministic.",
    aliases=("swap_out", "skip_forward"),
    layers={"torch": "Swapout"},
    waived={"mean": "Singh et al. 2016, as in Swapout.lua: nothing is scaled in training, evaluation is"},
)
