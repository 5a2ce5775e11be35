"""Nested dropout: all units behind a random index are dropped, so that units come to be ordered by use."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "unit_rates"]


def unit_rates(rate: Any, places: Any, swept: int = 0) -> Any:
    """Return the probability that each unit is dropped: 1 - (1 - rate)^j for the unit at place j.

    A sample has one draw u for all its units, and a unit falls if u lies below its rate: as the rates grow
    with the place, what is kept is always a prefix. With units 1, 2, ..., K the last one that is kept, b, has
    P(b) = (1 - rate)^(b - 1) rate, the geometric law of Rippel et al. 2014, cut off at K.

    Args:
        rate: the probability that the code ends at a unit that it has reached, in [0, 1].
        places: 0, 1, 2, ..., as floating numbers.
        swept: how many leading units are done: the law begins behind them.

    >>> unit_rates(0.5, np.arange(4.0)).tolist()
    [0.0, 0.5, 0.75, 0.875]
    >>> unit_rates(0.5, np.arange(4.0), swept=2).tolist()
    [0.0, 0.0, 0.0, 0.5]
    """
    steps = places - swept
    return 1 - (1 - rate) ** (steps * (steps > 0))


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    shape = METHOD.example.shape
    gone = draws(key, shape, "b d -> b").below(unit_rates(0.1, np.arange(float(shape[1]))))
    return np.where(gone, 0.0, 1.0)


METHOD = Method(
    name="nested_dropout",
    title="Nested dropout",
    summary="Draws one index a sample and drops all units behind it, so that the first units learn what "
    "matters most.",
    formula="b ~ Geometric(rate) for each sample; y_j = x_j for j <= b, else 0; unit j of 1 ... K falls with "
    "probability 1 - (1 - rate)^(j - 1). Unit sweeping: the first s units are fixed, and b - s is geometric",
    paper=Paper(
        title="Learning Ordered Representations with Nested Dropout",
        authors=("Rippel, Oren", "Gelbart, Michael A.", "Adams, Ryan P."),
        year=2014,
        venue="ICML",
        url="https://arxiv.org/abs/1402.0915",
        bibtex="""@inproceedings{rippel2014learning,
  title     = {Learning Ordered Representations with Nested Dropout},
  author    = {Rippel, Oren and Gelbart, Michael A. and Adams, Ryan P.},
  booktitle = {International Conference on Machine Learning},
  year      = {2014}
}""",
        checked="the first page for the reference; fbnn's NestedDropout.lua, which cites it, for the "
        "geometric law (its parameter is 1 - rate; its rescaling is left out). Unit sweeping was seen in "
        "later code alone; that its gradient stops at fixed units could not be checked against the paper",
    ),
    site="activation",
    fields=("vision", "text"),
    good_for="Codes of autoencoders and retrieval systems that shall be cut to any length afterwards, and "
    "linear codes that shall come out as principal components, in order. Pick rate near one over the length "
    "that you need, and sweep units that no longer move.",
    bad_for="Plain regularization of a classifier: late units are hardly ever trained at a high rate. Layers "
    "whose units have a fixed meaning, such as positions.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="b d",
        arguments={"rate": 0.1},
        usage={
            "torch": "layer = NestedDropout(0.1)\n"
            "x = torch.randn(16, 32)  # b d\n"
            "y = layer(x)\n"
            "layer.sweep(4)  # the first four units are done"
        },
    ),
    evidence="Rippel et al. 2014 prove that a semi-linear autoencoder with it finds the principal "
    "components, and retrieve in time logarithmic in the size of the data base (abstract).",
    aliases=("nested", "tail_dropout"),
    old_names={"p of fbnn.NestedDropout": "1 - rate, the probability that the next unit is kept as well"},
    layers={"torch": "NestedDropout"},
    waived={
        "rate": "the geometric law of Rippel et al. 2014: every unit has a rate of its own",
        "moments": "as for rate; nothing is rescaled",
        "mean": "nothing is rescaled: the mean of unit j is (1 - rate)^(j - 1) x",
        "independence": "the units of a sample share one draw",
    },
)
