"""Dropout: every entry is dropped by a coin of its own."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "dropout"]


def dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return dropout: every entry becomes 0 with probability `rate`, whatever its neighbours do.

    y = x kept / (1 - rate) with kept ~ Bernoulli(1 - rate). The paper (Srivastava et al. 2014) multiplies by
    the keep probability at test time instead: that is scale="eval".

    Args:
        rate: the probability that an entry is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> dropout(0.5).groups.pattern
    '...'
    """
    return Drop(rate, scale=scale)


METHOD = Method(
    name="dropout",
    title="Dropout",
    summary="Drops every entry by a coin of its own, so that no unit can rely on another one being there.",
    formula="kept ~ Bernoulli(1 - rate) for each entry; y = x kept / (1 - rate)",
    paper=Paper(
        title="Dropout: A Simple Way to Prevent Neural Networks from Overfitting",
        authors=(
            "Srivastava, Nitish",
            "Hinton, Geoffrey",
            "Krizhevsky, Alex",
            "Sutskever, Ilya",
            "Salakhutdinov, Ruslan",
        ),
        year=2014,
        venue="Journal of Machine Learning Research",
        url="https://jmlr.org/papers/v15/srivastava14a.html",
        bibtex="""@article{srivastava2014dropout,
  title   = {Dropout: A Simple Way to Prevent Neural Networks from Overfitting},
  author  = {Srivastava, Nitish and Hinton, Geoffrey and Krizhevsky, Alex and Sutskever, Ilya and
             Salakhutdinov, Ruslan},
  journal = {Journal of Machine Learning Research},
  volume  = {15},
  number  = {56},
  pages   = {1929--1958},
  year    = {2014}
}""",
        checked="the journal's own page for the reference; PyTorch's and Keras's documentation for the "
        "inverted form",
    ),
    site="activation",
    fields=("tabular", "vision", "text", "speech"),
    good_for="Wide dense layers and the last hidden layers of a network that overfits: small data, many "
    "passes. Try rates between 0.1 and 0.5, and train longer.",
    bad_for="Models that underfit or see each example once; early convolutions, where neighbours tell what "
    "was dropped; layers just before BatchNorm, whose variance differs between training and evaluation.",
    describe=dropout,
    example=Example(shape=(16, 32), axes="b d", arguments={"rate": 0.5}),
    evidence="Srivastava et al. 2014 report lower errors with it in vision, speech, text and biology. "
    "Against it: Liu et al. 2025 (arXiv 2505.24788) find language models that see their data once "
    "better without, and Li et al. 2018 (arXiv 1801.05134) that dropout before batch "
    "normalisation shifts its variance and often costs accuracy.",
    study=True,
    aliases=("bernoulli_dropout", "inverted_dropout", "binary_dropout"),
    old_names={
        "keep_prob": "the probability that an entry is kept (TensorFlow 1, MindSpore): rate = 1 - keep_prob",
        "dropout_ratio": "Caffe's word for the rate",
        "drop_prob": "the rate in many PyTorch models",
        "dropout_rate": "the rate, in many configurations and in the attention of Flax",
        "drop_rate": "the rate before the classifier in timm's models; blocks have drop_path_rate",
        "retain_prob": "the probability that an entry is kept, in Theano codes: rate = 1 - retain_prob",
        "resid_pdrop": "GPT-2's rate of what attention and the feed-forward part give",
        "embd_pdrop": "GPT-2's rate of entries of the embeddings; embedding_dropout drops whole words",
        "activation_dropout": "in fairseq and transformers the rate behind the feed-forward part's "
        "activation; not drop_activation",
        "proj_drop": "timm's rate behind a projection",
        "downscale_in_infer": "Paddle's word for scale='eval': entries shrink by 1 - rate in evaluation",
        "upscale_in_train": "Paddle's word for scale='train', the default",
        "noise_shape": "Keras's way to share draws: a pattern, e.g. 'b t d -> b d', says the same",
        "broadcast_dims": "Flax's way to share draws: the axes that stand left of '->' alone",
    },
    layers={"torch": "Dropout", "keras": "Dropout"},
)
