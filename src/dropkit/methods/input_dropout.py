"""Input dropout: dropout of the data itself, at a rate of its own."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "input_dropout"]


def input_dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return dropout of the input: every measured value becomes 0 with probability `rate`.

    Args:
        rate: the probability that a value is dropped, in [0, 1]; classic are 0.2 here, 0.5 in hidden layers.
        scale: where the factor 1 / (1 - rate) goes.

    >>> input_dropout(0.2).rate
    0.2
    """
    return Drop(rate, scale=scale)


METHOD = Method(
    name="input_dropout",
    title="Input dropout",
    summary="Drops values of the input itself, at a lower rate than in hidden layers, so that no single one "
    "is relied on.",
    formula="kept ~ Bernoulli(1 - rate) for each input value; y = x kept / (1 - rate)",
    paper=Paper(
        title="Improving neural networks by preventing co-adaptation of feature detectors",
        authors=(
            "Hinton, Geoffrey E.",
            "Srivastava, Nitish",
            "Krizhevsky, Alex",
            "Sutskever, Ilya",
            "Salakhutdinov, Ruslan R.",
        ),
        year=2012,
        venue="arXiv",
        url="https://arxiv.org/abs/1207.0580",
        bibtex="""@article{hinton2012improving,
  title   = {Improving neural networks by preventing co-adaptation of feature detectors},
  author  = {Hinton, Geoffrey E. and Srivastava, Nitish and Krizhevsky, Alex and Sutskever, Ilya and
             Salakhutdinov, Ruslan R.},
  journal = {arXiv preprint arXiv:1207.0580},
  year    = {2012}
}""",
        checked="citing bibliographies for the reference; the dropout example of Mocha.jl for the rates 0.2 "
        "and 0.5",
    ),
    site="input",
    fields=("tabular", "vision"),
    good_for="Many redundant inputs: pixels, genes, sensors, bags of words. It is also a training for "
    "values that will be missing, if missing is coded as 0.",
    bad_for="Few inputs that all matter; inputs where 0 is an ordinary value and nothing marks it as "
    "missing; one-hot columns, where zero means another class.",
    describe=input_dropout,
    example=Example(shape=(16, 32), axes="b d", arguments={"rate": 0.2}),
    evidence="Hinton et al. 2012 drop a fifth of the inputs. Planted lost columns, sensors and pixels are "
    "found by `dropkit study` in 3 of 3 studies each (docs/proof.md, promise 13).",
    study=True,
    aliases=("visible_dropout", "feature_noising"),
    layers={"torch": "InputDropout", "keras": "InputDropout"},
)
