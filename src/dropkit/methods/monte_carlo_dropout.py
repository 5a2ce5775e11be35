"""Monte Carlo dropout: dropout stays on while a model predicts, and many passes give a distribution."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "monte_carlo_dropout"]


def monte_carlo_dropout(rate: Any) -> Drop:
    """Return the dropout whose masks a prediction averages over: that of training, drawn anew in each pass.

    mean = sum_k f(x, mask_k) / K; their spread is the model's uncertainty (Gal and Ghahramani 2016).

    Args:
        rate: the probability that an entry is dropped, in [0, 1]; that of training.

    >>> monte_carlo_dropout(0.1).groups.pattern
    '...'
    """
    return Drop(rate)


METHOD = Method(
    name="monte_carlo_dropout",
    title="Monte Carlo dropout",
    summary="Leaves the dropout of training on while the model predicts: the mean of many passes is the "
    "prediction, their spread its uncertainty.",
    formula="kept_k ~ Bernoulli(1 - rate) in pass k; prediction = mean over k of f(x kept_k / (1 - rate)); "
    "uncertainty = variance over k",
    paper=Paper(
        title="Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning",
        authors=("Gal, Yarin", "Ghahramani, Zoubin"),
        year=2016,
        venue="ICML",
        url="https://arxiv.org/abs/1506.02142",
        bibtex="""@inproceedings{gal2016dropout,
  title     = {Dropout as a {Bayesian} Approximation: Representing Model Uncertainty in Deep Learning},
  author    = {Gal, Yarin and Ghahramani, Zoubin},
  booktitle = {Proceedings of the 33rd International Conference on Machine Learning},
  pages     = {1050--1059},
  year      = {2016}
}""",
        checked="the authors' repository (DropoutUncertaintyExps) and citing code for the reference and for "
        "the passes with dropout on; the paper's proof was not read again",
    ),
    site="activation",
    fields=("tabular", "vision", "text", "speech"),
    good_for="Models that were trained with dropout and must say how sure they are: active learning, "
    "rejection of inputs, a first look at uncertainty. Take as many passes as time allows.",
    bad_for="Models trained without dropout, see dropout_injection; models with BatchNorm that are put into "
    "training mode as a whole, which moves their statistics; predictions that allow one pass only.",
    describe=monte_carlo_dropout,
    variant_of="dropout",
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "import dropkit\n\n"
            "model = torch.nn.Sequential(torch.nn.Linear(32, 8), Dropout({rate}), torch.nn.Linear(8, 1))\n"
            "x = torch.randn(16, 32)\n"
            'with dropkit.mode(model.eval(), "mc"), torch.no_grad():\n'
            "    passes = torch.stack([model(x) for _ in range(20)])\n"
            "mean, variance = passes.mean(0), passes.var(0)"
        },
    ),
    evidence="Durasov et al. 2021 (Masksembles) call it a popular and cheap way to uncertainty, and less "
    "reliable than ensembles of separately trained networks.",
    aliases=("mc_dropout",),
    layers={"torch": "Dropout", "keras": "Dropout"},
)
