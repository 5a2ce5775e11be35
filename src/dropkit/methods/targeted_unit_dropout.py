"""Targeted unit dropout: the units with the smallest weights are dropped, so that they can be pruned."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "targeted"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def targeted(norms: Any, ordered: Any, share: float) -> Any:
    """Return which units are among the floor(share n) of the smallest norms.

    Units that equal the first norm beyond are spared: of units that are all alike, none is targeted.

    Args:
        norms: the norm of each unit's weights.
        ordered: the same, from small to large.
        share: the share of units that is targeted, gamma of the paper, in [0, 1].

    >>> import numpy
    >>> norms = numpy.array([3.0, 1.0, 2.0, 4.0])
    >>> targeted(norms, numpy.sort(norms), 0.5)
    array([False,  True,  True, False])
    """
    count = int(share * len(norms))
    return norms < ordered[count] if count < len(norms) else norms <= ordered[-1]


def _sketch(key: Key) -> Array:
    """Draw for units of random norms, a column each."""
    norms = unit(key.fold("example"), _SHAPE[1:])
    gone = draws(key, _SHAPE[1:]).below(targeted(norms, np.sort(norms), 0.5) * 0.5)
    return np.broadcast_to(np.where(gone, 0.0, 1.0), _SHAPE)


METHOD = Method(
    name="targeted_unit_dropout",
    title="Targeted dropout (units)",
    summary="Drops units with the smallest weight norms at random, so that the network does not mind when "
    "they are pruned after training.",
    formula="targets = the floor(share n) units of the smallest ||w||; a target is dropped with probability "
    "rate; y = layer(x) where kept, 0 where dropped; evaluation: y = layer(x)",
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
        bibtex="""@article{gomez2019targetedunits,
  title   = {Learning Sparse Networks Using Targeted Dropout},
  author  = {Gomez, Aidan N. and Zhang, Ivan and Kamalakara, Siddhartha Rao and Madaan, Divyam and
             Swersky, Kevin and Gal, Yarin and Hinton, Geoffrey E.},
  journal = {arXiv preprint arXiv:1905.13678},
  year    = {2019}
}""",
        checked="the authors' own code (targeted_unit in dropouts.py) for the choice of units and for the "
        "lack of a scale; the abstract for the reference. The code tosses a coin for each weight of a "
        "target; one coin a unit is the law as its abstract says it",
    ),
    site="activation",
    fields=("vision", "text"),
    good_for="Networks whose smallest units are to be cut out after training: train with the share that is "
    "to be pruned. Let share and rate grow during training.",
    bad_for="Networks that are not pruned, where plain dropout does more; layers whose scale a normalization "
    "takes away, since the norm of a unit's weights then says little.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": 0.5, "share": 0.5},
        usage={
            "torch": "layer = TargetedUnitDropout(torch.nn.Linear(8, 32), {rate}, share=0.5)\n"
            "y = layer(torch.randn(16, 8))"
        },
    ),
    evidence="Gomez et al. 2019 say in their abstract that networks trained so are robust to the pruning of "
    "units that were often dropped, and that it improves upon more complicated sparsifying regularisers.",
    aliases=("targeted_units",),
    old_names={
        "targ_rate": "the authors' code: the share of units that is targeted",
        "drop_rate": "the authors' code: the rate at which a target is dropped, alpha in the paper",
    },
    around="layer",
    layers={"torch": "TargetedUnitDropout"},
    waived={
        "rate": "dropouts.py, targeted_unit: a unit beyond the share is never dropped",
        "moments": "dropouts.py, targeted_unit: a unit beyond the share has the factor 1",
        "mean": "dropouts.py, targeted_unit: nothing is scaled",
        "edges": "dropouts.py, targeted_unit: at rate 1 the targets fall, and they alone",
    },
)
