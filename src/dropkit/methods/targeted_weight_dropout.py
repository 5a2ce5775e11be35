"""Targeted weight dropout: only the smallest weights may be dropped, so that they can be pruned later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "targeted_weight_dropout", "targets"]


def targeted_weight_dropout(rate: Any) -> Drop:
    """Return the drop of a weight that is a target: nothing is scaled (Gomez et al. 2019).

    Args:
        rate: the probability that a target is dropped, in [0, 1]: alpha of the paper.

    >>> targeted_weight_dropout(0.5).scale
    'none'
    """
    return Drop(rate, scale="none")


def targets(weight: Any, share: float, xp: Any = np) -> Any:
    """Return which weights are targets: of those into each unit the `share` that is smallest in size.

    floor(share n) of the n weights of each row are, of equal ones those that come first.

    Args:
        weight: `(units, ...)`; an array of fewer than two axes counts as one unit.
        share: gamma of the paper, in [0, 1].
        xp: numpy or torch.

    >>> targets(np.array([[0.1, -3.0, 2.0, -0.2], [5.0, 4.0, -6.0, 7.0]]), 0.5)
    array([[ True, False, False,  True],
           [ True,  True, False, False]])
    """
    shape = tuple(weight.shape)
    units = shape[0] if len(shape) > 1 else 1
    inputs = math.prod(shape) // max(units, 1)
    order = xp.argsort(abs(weight.reshape(units, inputs)), stable=True)
    rank = xp.argsort(order, stable=True)
    # Rounding must not cost a target: 0.3 of 10 are 3, although 0.3 * 10 is a little less on some machines.
    return (rank < math.floor(share * inputs + 1e-9)).reshape(shape)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    shape = (16, 32)
    weight = mask(key.fold("weight"), shape, Drop(0.5, noise="gaussian")) - 1
    return np.where(targets(weight, 0.75), mask(key, shape, targeted_weight_dropout(0.66)), 1.0)


METHOD = Method(
    name="targeted_weight_dropout",
    title="Targeted weight dropout",
    summary="Drops only the smallest weights of each unit, so that the network learns to do without what "
    "will be pruned.",
    formula="targets: the share gamma of the weights into a unit that is smallest in size; each target is "
    "dropped with probability alpha: w' = w (1 - target dropped), nothing is scaled",
    paper=Paper(
        title="Learning Sparse Networks Using Targeted Dropout",
        authors=(
            "Gomez, Aidan N.",
            "Zhang, Ivan",
            "Kamalakara, Siddhartha Rao",
            "Madaan, Divyam",
            "Swersky, Kevin",
            "Gal, Yarin",
            "Hinton, Geoffrey E.",
        ),
        year=2019,
        venue="arXiv",
        url="https://arxiv.org/abs/1905.13678",
        bibtex="""@article{gomez2019learning,
  title   = {Learning Sparse Networks Using Targeted Dropout},
  author  = {Gomez, Aidan N. and Zhang, Ivan and Kamalakara, Siddhartha Rao and Madaan, Divyam and
             Swersky, Kevin and Gal, Yarin and Hinton, Geoffrey E.},
  journal = {arXiv preprint arXiv:1905.13678},
  year    = {2019}
}""",
        checked="a copy of the preprint's first page for the reference; the authors' own code (for-ai/TD, "
        "dropouts.py) for the law and the ramp",
    ),
    site="weight",
    fields=("vision", "text"),
    good_for="Networks that shall be pruned after training: the weights that pruning takes are those that "
    "training learned to miss. Let both rates grow from zero.",
    bad_for="Networks that are not pruned: what the large weights learn together is not regularised, and the "
    "mean of the weights moves, for nothing is scaled.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.66, "share": 0.75},
        usage={
            "torch": "layer = TargetedWeightDropout(torch.nn.Linear(32, 16), 0.66, share=0.75)\n"
            "y = layer(torch.randn(8, 32))\n"
            "layer.prune_()"
        },
    ),
    evidence="The abstract reports that it improves upon more complicated sparsifying regularisers (Gomez et "
    "al. 2019); no figure was checked.",
    aliases=("targeted_dropout",),
    around="module",
    layers={"torch": "TargetedWeightDropout"},
    waived={"mean": "the authors' code (dropouts.py) multiplies by the mask alone: no factor 1 / (1 - rate)"},
)
