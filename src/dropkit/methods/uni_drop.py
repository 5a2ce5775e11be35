"""UniDrop: dropout of features, of layers and of words at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "dropped_words"]

Array = Any
_SHAPE = (8, 12, 4)


def dropped_words(words: Array, sequences: Array, rate: float, keep: float, xp: Any) -> Array:
    """Return which words fall in two stages: a sequence stays whole, or else each of its words has a coin.

    A word falls with probability (1 - keep) rate (Wu et al. 2021).

    Args:
        words: a draw for each word, below 2**32 `(batch, words)`.
        sequences: a draw for each sequence `(batch, 1)`.
        rate: the probability that a word of a sequence falls that does not stay whole.
        keep: the probability that a sequence stays whole.
        xp: the module of the arrays, numpy or torch.

    >>> dropped_words(np.array([[1, 2**31], [1, 2**31]]), np.array([[1], [2**31]]), 0.5, 0.5, np)
    array([[False, False],
           [ True, False]])
    """
    return (words < threshold(rate, xp)) & (sequences >= threshold(keep, xp))


def _sketch(key: Key) -> Array:
    batch, length, _ = _SHAPE
    words, sequences = draws(key.fold("words"), (batch, length)).u, draws(key.fold("sequences"), (batch, 1)).u
    gone = dropped_words(words, sequences, 0.4, 0.5, np)
    return np.where(np.broadcast_to(gone[..., None], _SHAPE), 0.0, 1.0)


METHOD = Method(
    name="uni_drop",
    title="UniDrop",
    summary="Sets three kinds of dropout of a transformer at once: of features, of whole layers, and of "
    "words in those texts that do not stay whole.",
    formula="features: dropout of attention weights, of the inner activation and of the output; structure: "
    "each layer is skipped with a probability; data: a text stays whole with probability keep, else each "
    "word falls with probability rate",
    paper=Paper(
        title="UniDrop: A Simple yet Effective Technique to Improve Transformer without Extra Cost",
        authors=(
            "Wu, Zhen",
            "Wu, Lijun",
            "Meng, Qi",
            "Xia, Yingce",
            "Xie, Shufang",
            "Qin, Tao",
            "Dai, Xinyu",
            "Liu, Tie-Yan",
        ),
        year=2021,
        venue="NAACL",
        url="https://arxiv.org/abs/2104.04946",
        bibtex="""@inproceedings{wu2021unidrop,
  title     = {UniDrop: A Simple yet Effective Technique to Improve Transformer without Extra Cost},
  author    = {Wu, Zhen and Wu, Lijun and Meng, Qi and Xia, Yingce and Xie, Shufang and Qin, Tao and
               Dai, Xinyu and Liu, Tie-Yan},
  booktitle = {Proceedings of the 2021 Conference of the North American Chapter of the Association for
               Computational Linguistics: Human Language Technologies},
  pages     = {3865--3878},
  year      = {2021}
}""",
        checked="the first pages of the proceedings for the reference and the three kinds, a review for the "
        "two stages of data dropout, public code for query, key and value dropout and LayerDrop. The paper's "
        "rates were not confirmed and are left out",
    ),
    site="layer",
    fields=("text",),
    good_for="Translation and text classification with transformers that overfit: three coarser and coarser "
    "kinds together, each at a low rate. DropHead or DropKey can stand for the fine one.",
    bad_for="Shallow models, which lose too much with a layer; short texts at a high rate; models that fit "
    "their training data badly already.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.4},
        usage={
            "torch": "from dropkit.torch import DataDropout\n"
            "layer = torch.nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)\n"
            "encoder = torch.nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)\n"
            "encoder = uni_drop(encoder, attention=0.1, activation=0.1, layer=0.1)\n"
            "words = DataDropout(0.2, keep=0.5, prefix=1)\n"
            "y = encoder(words(torch.randn(8, 12, 16)))"
        },
    ),
    variant_of="dropout",
    evidence="Its abstract reports around 1.5 BLEU on IWSLT14 translation tasks and better text "
    "classification, also with a pretrained RoBERTa.",
    aliases=("unidrop",),
    old_names={"layerdrop": "the rate at which a layer is skipped, in fairseq and transformers"},
    layers={"torch": "uni_drop"},
)
