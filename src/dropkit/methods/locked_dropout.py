"""Locked dropout: one mask for all time steps of a sequence."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "locked_dropout"]


def locked_dropout(rate: Any, batch_first: bool = True, scale: Scale = "train") -> Drop:
    """Return locked dropout: one coin for each feature of each sequence, shared over time.

    Args:
        rate: the probability that a feature is dropped, in [0, 1].
        batch_first: whether the axes are `(batch, time, features)` instead of `(time, batch, features)`.
        scale: where the factor 1 / (1 - rate) goes.

    >>> locked_dropout(0.3).groups.pattern, locked_dropout(0.3, batch_first=False).groups.pattern
    ('b t d -> b d', 't b d -> b d')
    """
    return Drop(rate, "b t d -> b d" if batch_first else "t b d -> b d", scale=scale)


METHOD = Method(
    name="locked_dropout",
    title="Locked (variational) dropout",
    summary="Draws one mask for a sequence and uses it at every time step, so that what is dropped stays "
    "dropped.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, d); y[b, t, d] = x[b, t, d] kept[b, d] / (1 - rate)",
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
    site="activation",
    fields=("text", "speech"),
    good_for="Inputs and outputs of recurrent layers: a fresh mask at each step is averaged away by the "
    "state, one mask for the sequence is not.",
    bad_for="Streams processed in pieces, unless the pieces share a key; short sequences, where it hardly "
    "differs from dropout; inside the recurrent cell, which it does not reach.",
    describe=locked_dropout,
    example=Example(shape=(3, 10, 32), axes="b t d", arguments={"rate": 0.3}),
    evidence="Gal and Ghahramani 2016 report a perplexity of 73.4 on the Penn Treebank with masks that "
    "stay over time, dropped words among them.",
    study=True,
    aliases=("variational_dropout_rnn", "rnn_dropout", "lockdrop"),
    old_names={
        "dropouti": "awd-lstm-lm's rate of what enters the first layer",
        "dropouth": "awd-lstm-lm's rate between the layers",
        "VariationalDropout (AllenNLP)": "one mask for all time steps: its noise is plain",
        "recurrent_dropout (Keras)": "a mask of its own on the recurrent state, the same at all steps",
    },
    layers={"torch": "LockedDropout", "keras": "LockedDropout"},
)
