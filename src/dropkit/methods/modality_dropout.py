"""Modality dropout: whole inputs of one kind are dropped, and here a sample keeps one at least."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "chosen", "happening_rate", "spared"]


def spared(gone: Any, choice: Any, places: Any) -> Any:
    """Return which modalities are dropped once a sample that would lose all keeps the chosen one.

    Args:
        gone: whose coin fell, of shape (samples, modalities).
        choice: the modality that a sample keeps if all fell (samples,).
        places: 0, 1, ..., the numbers of the modalities.

    >>> spared(np.array([[True, True], [True, False]]), np.array([1, 1]), np.arange(2)).tolist()
    [[True, False], [True, False]]
    """
    return gone & ~(gone.all(-1)[:, None] & (places == choice[:, None]))


def chosen(u: Any, count: int) -> Any:
    """Return one of `count` modalities, each alike, from whole numbers u below 2**32.

    >>> chosen(np.array([0, 2**31, 2**32 - 1]), 2).tolist()
    [0, 1, 1]
    """
    return u * count >> 32


def happening_rate(rate: float, count: int) -> float:
    """Return how often one of `count` modalities with the same rate is dropped: rate - rate^count / count.

    >>> happening_rate(0.5, 2), happening_rate(1.0, 4)
    (0.375, 0.75)
    """
    return rate - rate**count / count


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    samples, count = METHOD.example.shape
    gone = draws(key, (samples, count)).below(0.5)
    choice = chosen(draws(key, (samples,)).second(), count)
    return np.where(spared(gone, choice, np.arange(count)), 0.0, 1.0)


METHOD = Method(
    name="modality_dropout",
    title="Modality dropout (ModDrop)",
    summary="Drops whole modalities of a sample, such as its sound or its depth image, each by a coin of its "
    "own.",
    formula="kept_m ~ Bernoulli(1 - rate_m) for each sample and modality; y_m = x_m kept_m, unscaled; "
    "evaluation: y = x. By default here, unless spare=False: if none is kept, one of them, each alike, is",
    paper=Paper(
        title="ModDrop: adaptive multi-modal gesture recognition",
        authors=("Neverova, Natalia", "Wolf, Christian", "Taylor, Graham W.", "Nebout, Florian"),
        year=2016,
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        url="https://arxiv.org/abs/1501.00102",
        bibtex="""@article{neverova2016moddrop,
  title   = {ModDrop: adaptive multi-modal gesture recognition},
  author  = {Neverova, Natalia and Wolf, Christian and Taylor, Graham W. and Nebout, Florian},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume  = {38},
  number  = {8},
  pages   = {1692--1706},
  year    = {2016}
}""",
        checked="the abstract for the reference and for dropping separate channels at random; citing texts "
        "for volume and pages; summaries for an independent coin a sample and modality. The paper's rates, "
        "and whether it rescales, could not be read. That a sample keeps one modality at least is no part of "
        "any source read: it is a rule of this library, and spare=False leaves it out",
    ),
    site="input",
    fields=("vision", "speech", "text", "tabular"),
    good_for="Models with several sensors or kinds of input, one of which the model would lean on alone, or "
    "any of which may be missing later. Code a missing modality as zeros then, too.",
    bad_for="Modalities that say nothing without each other; models with one input; inputs where zeros are "
    "an ordinary value and nothing marks them as missing.",
    sketch=_sketch,
    example=Example(
        shape=(16, 4),
        axes="b modality",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = ModalityDropout(0.5)\n"
            'inputs = {"video": torch.randn(16, 3, 8, 8), "audio": torch.randn(16, 20)}\n'
            "kept = layer(inputs)  # a dict again"
        },
    ),
    evidence="Neverova et al. 2016 placed first of 17 teams in the ChaLearn 2014 gesture challenge, and "
    "report that ModDrop gives meaningful predictions from any number of modalities (abstract).",
    aliases=("mod_drop", "moddrop"),
    layers={"torch": "ModalityDropout"},
    waived={
        "rate": "by default a sample whose modalities all fell keeps one: each falls with rate - rate^M / M",
        "mean": "nothing is rescaled",
        "independence": "by default whether a modality is spared depends on the others of its sample",
        "edges": "by default at rate 1 one modality of each sample is left",
    },
)
