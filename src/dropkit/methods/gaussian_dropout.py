"""Gaussian dropout: every entry is multiplied by a normal number of mean 1."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "gaussian_dropout"]


def gaussian_dropout(rate: Any) -> Drop:
    """Return Gaussian dropout: y = x m with m ~ N(1, rate / (1 - rate)).

    Mean and variance of m are those of inverted dropout at the same rate (Srivastava et al. 2014, section on
    multiplicative Gaussian noise).

    Args:
        rate: sets the variance rate / (1 - rate), in [0, 1]; at 1 every entry becomes 0.

    >>> gaussian_dropout(0.5).noise.moments(0.5)
    Moments(mean=1.0, variance=1.0)
    """
    return Drop(rate, noise="gaussian")


METHOD = Method(
    name="gaussian_dropout",
    title="Gaussian dropout",
    summary="Multiplies every entry by a normal number of mean 1 whose variance is that of dropout at the "
    "same rate.",
    formula="m ~ N(1, rate / (1 - rate)) for each entry; y = x m",
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
        checked="the journal's own page for the reference; Keras's and Deeplearning4j's documentation for "
        "the law",
    ),
    site="activation",
    fields=("tabular", "vision", "text", "speech"),
    good_for="The places of ordinary dropout, where a smooth noise is wanted: no entry is lost outright, "
    "and the noise has a density, which Bayesian readings of dropout build on.",
    bad_for="Sparse inputs and counts, since a factor may be negative; rates above about 0.5, where the "
    "standard deviation exceeds 1; places where the cost of logarithm and cosine for each entry shows.",
    describe=gaussian_dropout,
    example=Example(shape=(16, 32), axes="b d", arguments={"rate": 0.3}),
    evidence="With mean and variance of dropout it acts on the loss alike to second order. On 1,797 digits "
    "`dropkit study` could not show a difference to no dropout, nor could it for dropout itself.",
    study=True,
    aliases=("multiplicative_gaussian_noise", "gaussian_noise_dropout"),
    old_names={
        "GaussianNoise": "Keras's additive noise, another thing: it does not grow with the entry",
    },
    layers={"torch": "GaussianDropout", "keras": "GaussianDropout"},
    waived={
        "rate": "Srivastava et al. 2014, section on multiplicative Gaussian noise: the noise has a density, "
        "so no entry is dropped; the rate sets its variance",
    },
)
