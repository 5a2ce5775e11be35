"""Continuous dropout with a uniform mask."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "uniform_dropout"]


def uniform_dropout(rate: Any) -> Drop:
    """Return continuous dropout: y = x m with m uniform, of mean 1 and variance rate / (1 - rate).

    m lies within sqrt(3 rate / (1 - rate)) of 1. The paper's mask U(0, 1), scaled by 2 to mean 1 as in its
    authors' code, is rate 1/4.

    Args:
        rate: sets the variance rate / (1 - rate), in [0, 1]; at 1 every entry becomes 0.

    >>> uniform_dropout(0.25).noise.name
    'uniform'
    """
    return Drop(rate, noise="uniform")


METHOD = Method(
    name="uniform_dropout",
    title="Continuous dropout",
    summary="Multiplies every entry by a uniform number of mean 1 whose variance is that of dropout at the "
    "same rate.",
    formula="m ~ U(1 - w, 1 + w) with w = sqrt(3 rate / (1 - rate)) for each entry; y = x m",
    paper=Paper(
        title="Continuous Dropout",
        authors=("Shen, Xu", "Tian, Xinmei", "Liu, Tongliang", "Xu, Fang", "Tao, Dacheng"),
        year=2018,
        venue="IEEE Transactions on Neural Networks and Learning Systems",
        url="https://arxiv.org/abs/1911.12675",
        bibtex="""@article{shen2018continuous,
  title   = {Continuous Dropout},
  author  = {Shen, Xu and Tian, Xinmei and Liu, Tongliang and Xu, Fang and Tao, Dacheng},
  journal = {IEEE Transactions on Neural Networks and Learning Systems},
  volume  = {29},
  number  = {9},
  pages   = {3926--3937},
  year    = {2018},
  note    = {arXiv:1911.12675}
}""",
        checked="the university's repository entry for the reference; the authors' Caffe layer for the law",
    ),
    site="activation",
    fields=("tabular", "vision"),
    good_for="The places of ordinary dropout, where a mild and bounded noise is wanted: up to rate 1/4 no "
    "factor is negative and none exceeds 2.",
    bad_for="Rates above 1/4 on entries that must keep their sign; places where entries are meant to "
    "vanish, since none ever does.",
    describe=uniform_dropout,
    example=Example(shape=(16, 32), axes="b d", arguments={"rate": 0.25}),
    evidence="Shen et al. 2018 report it for images. On 1,797 digits `dropkit study` could not show a "
    "difference to no dropout.",
    study=True,
    aliases=("continuous_dropout",),
    layers={"torch": "UniformDropout", "keras": "UniformDropout"},
    waived={
        "rate": "Shen et al. 2018, the authors' layer of type UNIFORM: the mask has a density, so no entry "
        "is dropped; the rate sets its variance",
    },
)
