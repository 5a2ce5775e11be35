"""DropConnect: single weights are dropped instead of activations."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "drop_connect", "preactivation_variance"]


def drop_connect(rate: Any) -> Drop:
    """Return DropConnect, to be applied to a weight: one coin for each entry of it.

    The paper (Wan et al. 2013) does not scale in training and takes the kept share q = 1 - rate into
    inference; here kept weights grow by 1 / q, so that inference has the weights as they are: the same
    function, but for the size of the weights.

    Args:
        rate: the probability that a weight is dropped, in [0, 1].

    >>> drop_connect(0.5).groups.pattern
    '...'
    """
    return Drop(rate)


def preactivation_variance(power: Any, rate: float) -> Any:
    """Return the variance of u = (M W) v over masks: rate / (1 - rate) (W W)(v v).

    It is what the Gaussian approximation at inference draws with (Wan et al. 2013: mean q W v, variance
    q (1 - q) (W W)(v v); both are divided by q and q^2 where kept weights grow by 1 / q).

    Args:
        power: (W W)(v v), squares entry by entry: the layer without its bias, of squared weight and input.
        rate: the probability that a weight is dropped, in [0, 1); at 1 nothing varies.

    >>> preactivation_variance(2.0, 0.5)
    2.0
    """
    return power * (rate / (1 - rate) if rate < 1 else 0.0)


METHOD = Method(
    name="drop_connect",
    title="DropConnect",
    summary="Drops single weights of a layer, anew in each pass, instead of activations.",
    formula="kept ~ Bernoulli(1 - rate) for each weight (the paper: and each sample); training: "
    "y = (W kept / (1 - rate)) x + b; inference: W x + b, or draws from "
    "N(W x + b, rate / (1 - rate) (W W)(x x))",
    paper=Paper(
        title="Regularization of Neural Networks using DropConnect",
        authors=("Wan, Li", "Zeiler, Matthew", "Zhang, Sixin", "LeCun, Yann", "Fergus, Rob"),
        year=2013,
        venue="ICML",
        url="https://proceedings.mlr.press/v28/wan13.html",
        bibtex="""@inproceedings{wan2013regularization,
  title     = {Regularization of Neural Networks using DropConnect},
  author    = {Wan, Li and Zeiler, Matthew and Zhang, Sixin and LeCun, Yann and Fergus, Rob},
  booktitle = {Proceedings of the 30th International Conference on Machine Learning},
  volume    = {28},
  number    = {3},
  pages     = {1058--1066},
  year      = {2013}
}""",
        checked="the proceedings' page for the reference; the authors' project page for the law of training, "
        "and an enumeration of all masks for the moments at inference",
    ),
    site="weight",
    fields=("vision", "text", "tabular"),
    good_for="Large fully connected layers that overfit, where dropping whole units takes too much; also the "
    "base of Monte Carlo passes over weights. One mask a batch costs no more than a copy of the weight.",
    bad_for="Convolutions with few weights, small models that underfit, and one mask a sample in wide "
    "layers: batch x outputs x inputs numbers are held then.",
    sketch=lambda key: mask(key, (16, 32), drop_connect(0.5)),
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = DropConnect(torch.nn.Linear(32, 16), 0.5)\ny = layer(torch.randn(8, 32))",
        },
    ),
    evidence="The abstract reports state-of-the-art results on several image benchmarks of 2013, found by "
    "aggregating several DropConnect networks, not by one of them (Wan et al. 2013).",
    aliases=("dropconnect",),
    old_names={
        "drop_connect_rate (EfficientNet, timm)": "stochastic depth of a residual branch: drop_path",
    },
    around="module",
    layers={"torch": "DropConnect", "keras": "DropConnect"},
)
