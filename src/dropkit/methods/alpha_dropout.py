"""Alpha dropout: the dropout for SELU networks, which keeps mean 0 and variance 1."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "alpha_dropout"]


def alpha_dropout(rate: Any) -> Drop:
    """Return alpha dropout: dropped entries go to SELU's floor, then all are rescaled to keep the variance.

    y = a x' + b, where x' is x or the floor f = -lambda alpha = -1.7581, and
    a = ((1 - rate) (1 + rate f^2))^(-1/2), b = -a rate f: an input of mean 0 and variance 1 stays so
    (Klambauer et al. 2017).

    Args:
        rate: the probability that an entry is dropped, in [0, 1]; at 1 every entry becomes 0.

    >>> alpha_dropout(0.5).noise.name
    'alpha'
    """
    return Drop(rate, noise="alpha")


METHOD = Method(
    name="alpha_dropout",
    title="Alpha dropout",
    summary="Sends dropped entries to the floor of SELU and rescales all, so that activations of mean 0 and "
    "variance 1 stay so.",
    formula="x' = x where kept, f = -1.7581 where dropped; y = a x' + b, "
    "a = ((1 - rate) (1 + rate f^2))^(-1/2), b = -a rate f",
    paper=Paper(
        title="Self-Normalizing Neural Networks",
        authors=("Klambauer, Günter", "Unterthiner, Thomas", "Mayr, Andreas", "Hochreiter, Sepp"),
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1706.02515",
        bibtex="""@inproceedings{klambauer2017self,
  title     = {Self-Normalizing Neural Networks},
  author    = {Klambauer, G{\\"u}nter and Unterthiner, Thomas and Mayr, Andreas and Hochreiter, Sepp},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  pages     = {971--980},
  year      = {2017}
}""",
        checked="the authors' own code (selu.py), and NeurIPS's metadata for the reference",
    ),
    site="activation",
    fields=("tabular",),
    good_for="Dense networks of SELU units on standardised inputs with LeCun normal weights: the "
    "self-normalising property survives. Rates of 0.05 to 0.1 are usual.",
    bad_for="Any other activation: a dropped entry becomes a large negative number, which ReLU or GELU do "
    "not expect.",
    describe=alpha_dropout,
    example=Example(shape=(16, 32), axes="b d", arguments={"rate": 0.1}),
    evidence="Its law keeps the mean 0 and the variance 1 that SELU networks need (Klambauer et al. 2017); "
    "the contract proves it here. Outside of such networks there is no reason to take it.",
    study=True,
    aliases=("selu_dropout", "dropout_selu"),
    old_names={
        "F.alpha_dropout": "torch's function; its layer ignores inplace, ours does not",
    },
    layers={"torch": "AlphaDropout", "keras": "AlphaDropout"},
    waived={
        "mean": "Klambauer et al. 2017, selu.py: mean 0 and variance 1 are kept over the law of the input, "
        "not the single entry's expected value",
    },
)
