"""Embedding dropout: whole words of the vocabulary are dropped."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "embedding_dropout"]


def embedding_dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return embedding dropout: one coin for each row of the embedding matrix `(vocabulary, features)`.

    A dropped word is dropped wherever it occurs. One mask serves the batch, as in awd-lstm-lm; the paper's
    own code draws one for each sequence.

    Args:
        rate: the probability that a word is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> embedding_dropout(0.1).groups.pattern
    'v d -> v'
    """
    return Drop(rate, "v d -> v", scale=scale)


METHOD = Method(
    name="embedding_dropout",
    title="Embedding dropout",
    summary="Drops whole words of the vocabulary, at every place where they occur, so that a text is read "
    "without them.",
    formula="kept ~ Bernoulli(1 - rate) for each row v of the embedding matrix E; "
    "E'[v] = E[v] kept[v] / (1 - rate)",
    paper=Paper(
        title="A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
        authors=("Gal, Yarin", "Ghahramani, Zoubin"),
        year=2016,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1512.05287",
        bibtex="""@inproceedings{gal2016theoretically,
  title     = {A Theoretically Grounded Application of Dropout in Recurrent Neural Networks},
  author    = {Gal, Yarin and Ghahramani, Zoubin},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {29},
  pages     = {1019--1027},
  year      = {2016}
}""",
        checked="NeurIPS's metadata for the reference; the code of Gal (BayesianRNN) and of Merity "
        "(awd-lstm-lm) for the law",
    ),
    site="embedding",
    fields=("text",),
    good_for="Language models and text classifiers with an embedding of their own, trained on little text: "
    "a word that appears twice in a sentence goes at both places.",
    bad_for="Weights tied to the output layer, unless the output uses the undropped matrix; vocabularies of "
    "a few dozen symbols, where a dropped one takes too much away.",
    describe=embedding_dropout,
    example=Example(
        shape=(16, 32),
        axes="v d",
        arguments={"rate": 0.2},
        usage={
            "torch": "layer = EmbeddingDropout(torch.nn.Embedding(16, 32), {rate})\n"
            "ids = torch.randint(16, (4, 10))\n"
            "words = layer(ids)"
        },
    ),
    evidence="Gal and Ghahramani 2016 drop words of the vocabulary in the network with which they report a "
    "perplexity of 73.4 on the Penn Treebank.",
    study=True,
    aliases=("embedded_dropout", "word_type_dropout"),
    old_names={"dropoute": "awd-lstm-lm's rate of whole words"},
    around="embedding",
    layers={"torch": "EmbeddingDropout", "keras": "EmbeddingDropout"},
)
