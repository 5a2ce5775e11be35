"""Weighted channel dropout: channels are kept by lot, in proportion to how active they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "rescale", "selected"]

_SHAPE, _RATE, _EXTRA = (6, 24), 0.5, 0.1
_TINY = 1e-300
"""The score of a channel that has none: it comes behind every other, and such ones are drawn evenly."""


def selected(scores: Any, u: Any, rate: float, xp: Any) -> Any:
    """Return which channels the weighted selection keeps: bool, (batch, channels).

    The key of a channel is r**(1 / score) with r uniform; the M channels of the largest keys are kept, M
    being the number of channels less `rate` of them, rounded. That draws M channels without replacement, each
    in proportion to its score (Hou and Wang 2019, weighted random selection).

    Args:
        scores: the mean activation of each channel, at least 0, float64, (batch, channels).
        u: uniform numbers in (0, 1), of the same shape.
        rate: the share of the channels that is not kept.
        xp: numpy or torch.

    >>> selected(np.array([[0.0, 5.0, 0.1, 2.0]]), np.full((1, 4), 0.5), 0.5, np)
    array([[False,  True, False,  True]])
    """
    channels = scores.shape[-1]
    keys = xp.log(u) / scores.clip(_TINY)  # the logarithm of the key, which orders alike
    rank = xp.argsort(xp.argsort(-keys, -1), -1)
    return rank < channels - round(rate * channels)


def rescale(scores: Any, kept: Any) -> Any:
    """Return alpha = sum of all scores / sum of the kept ones, 1 where there is no activation: (batch, 1).

    >>> rescale(np.array([[1.0, 3.0]]), np.array([[False, True]])).round(3).tolist()
    [[1.333]]
    """
    whole, part = scores.sum(-1)[..., None], (scores * kept).sum(-1)[..., None]
    empty = part == 0
    return (whole + empty) / (part + empty)


def _sketch(key: Key) -> Array:
    scores = unit(key.fold("input"), _SHAPE) ** 4  # a few active channels and many quiet ones
    kept = selected(scores, unit(key.fold("selection"), _SHAPE), _RATE, np)
    fallen = draws(key.fold("coin"), _SHAPE).u < threshold(_EXTRA, np)
    return np.asarray(np.where(kept & ~fallen, rescale(scores, kept), 0.0))


METHOD = Method(
    name="weighted_channel_dropout",
    title="Weighted channel dropout",
    summary="Keeps a fixed share of the channels of each sample, drawn in proportion to their activation, so "
    "that quiet channels fall more often than active ones.",
    formula="score_i = mean of channel i; r_i ~ U(0, 1); the (1 - rate) C channels of the largest "
    "r_i^(1 / score_i) are kept; y = alpha x where kept and a coin spares it, with alpha = sum of all "
    "scores / sum of the kept ones; evaluation: x",
    paper=Paper(
        title="Weighted Channel Dropout for Regularization of Deep Convolutional Neural Network",
        authors=("Hou, Saihui", "Wang, Zilei"),
        year=2019,
        venue="AAAI",
        url="https://doi.org/10.1609/aaai.v33i01.33018425",
        bibtex="""@inproceedings{hou2019weighted,
  title     = {Weighted Channel Dropout for Regularization of Deep Convolutional Neural Network},
  author    = {Hou, Saihui and Wang, Zilei},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  volume    = {33},
  pages     = {8425--8432},
  year      = {2019},
  doi       = {10.1609/aaai.v33i01.33018425}
}""",
        checked="the abstract and the publisher's page; two public implementations for the keys, alpha and "
        "the coin of the kept channels; whether the paper's alpha counts that coin could not be confirmed",
    ),
    site="activation",
    fields=("vision",),
    good_for="Fine-tuning of pretrained convolutional networks on small data sets: late layers behind a "
    "ReLU, where a few channels are active for each image.",
    bad_for="Channels that may be negative, such as those of a layer without a ReLU; early layers, whose "
    "channels are all needed; networks with few channels.",
    sketch=_sketch,
    evidence="The abstract reports consistent improvements over the baselines with VGGNet-16, ResNet-101 and "
    "Inception-V3 on multiple data sets.",
    example=Example(
        shape=_SHAPE,
        axes="b c",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = WeightedChannelDropout({rate}, extra_p=0.1)\n"
            "x = torch.relu(torch.randn(6, 24, 7, 7))  # b c h w\n"
            "y = layer(x)"
        },
    ),
    aliases=("wcd",),
    old_names={"wrs_ratio": "in public code the share of the channels that the selection keeps, 1 - rate"},
    layers={"torch": "WeightedChannelDropout"},
    waived={
        "rate": "Hou and Wang 2019, weighted random selection: a channel falls by its activation",
        "mean": "Hou and Wang 2019: alpha keeps the sum of the scores of a sample, not each mean",
        "independence": "Hou and Wang 2019, weighted random selection: so many channels fall in each sample",
    },
)
