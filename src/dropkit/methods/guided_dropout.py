"""Guided dropout: each unit learns its strength, and units outside the crowd of like strengths drop."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["BINS", "METHOD", "inactive", "strongest"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)
BINS = 100
"""In how many parts the range of strengths is counted."""


def strongest(size: Any, ordered: Any, rate: float) -> Any:
    """Return which units are the floor(rate n) strongest.

    Never more fall: of units that are equally strong, those that come first do.

    Args:
        size: the size |t| of each unit's strength.
        ordered: the same, from small to large.
        rate: the share of units that falls, in [0, 1].

    >>> import numpy
    >>> size = numpy.array([0.5, 0.1, 0.9, 0.2])
    >>> strongest(size, numpy.sort(size), 0.5)
    array([ True, False,  True, False])
    """
    count = int(rate * len(size))
    if count == 0:
        return size < size
    weakest = ordered[len(size) - count]
    above, tied = size > weakest, size == weakest
    return above | (tied & (tied.cumsum(0) <= count - above.sum()))


def inactive(size: Any, largest: Any, numbers: Any) -> Any:
    """Return which units lie where strengths crowd: in the fullest of the parts of [0, largest].

    Args:
        size: the size |t| of each unit's strength.
        largest: the largest of them.
        numbers: 0 ... BINS, as an array; the largest strength has the last part alone.

    >>> import numpy
    >>> size = numpy.array([0.101, 0.102, 0.103, 0.7, 1.0])
    >>> inactive(size, 1.0, numpy.arange(BINS + 1))
    array([ True,  True,  True, False, False])
    """
    place = size * BINS / (largest + (largest == 0))
    inside = (numbers <= place[:, None]) & (place[:, None] < numbers + 1)
    return (inside & (numbers == inside.sum(0).argmax())).any(1)


def _sketch(key: Key) -> Array:
    """Draw for 32 units, a column each, half of which are alike in strength."""
    size = np.where(np.arange(_SHAPE[1]) % 2, 0.105, unit(key.fold("example"), _SHAPE[1:]))
    spared = inactive(size, size.max(), np.arange(BINS + 1))
    gone = draws(key, _SHAPE[1:]).below(0.5 * ~spared)
    return np.broadcast_to(np.where(gone, 0.0, 1.0), _SHAPE)


METHOD = Method(
    name="guided_dropout",
    title="Guided dropout",
    summary="Learns the strength of each unit and drops units outside the crowd of like strengths, or the "
    "strongest ones, so that the others have to learn.",
    formula='y = t x with a learned strength t for each unit; training: "active": a unit outside the fullest '
    "of 100 parts of the range of |t| is dropped with probability rate; "
    '"top": the floor(rate n) units of the largest |t| are dropped, of equal ones the first; evaluation: '
    "y = t x; t begins uniform in (0, 1)",
    paper=Paper(
        title="Guided Dropout",
        authors=("Keshari, Rohit", "Singh, Richa", "Vatsa, Mayank"),
        year=2019,
        venue="AAAI",
        url="https://arxiv.org/abs/1812.03965",
        bibtex="""@inproceedings{keshari2019guided,
  title     = {Guided Dropout},
  author    = {Keshari, Rohit and Singh, Richa and Vatsa, Mayank},
  booktitle = {AAAI Conference on Artificial Intelligence},
  volume    = {33},
  number    = {01},
  pages     = {4065--4072},
  year      = {2019},
  doi       = {10.1609/aaai.v33i01.33014065}
}""",
        checked="two independent public implementations of this name: "
        "lingjivoo/guided-dropout-pytorch for both laws, the beginning and the lack of a scale, as here; "
        "under 'top' it keeps units that tie with the weakest, so one fewer falls. "
        "rfarell/guided-dropout-experiments for 'active': it begins at t = 1 and divides what is left by "
        "1 - (f_m / N) (1 - theta), f_m of N units in the crowd and theta the probability of keeping. The "
        "conference's page for the reference. The paper's own equations could not be read",
    ),
    site="activation",
    fields=("vision",),
    good_for="Wide dense or convolutional layers of which a part idles: what the dropped units did must be "
    "learned by the others. Train some passes at rate 0 first, so that strengths mean something.",
    bad_for="Narrow layers, which have no idle units; layers followed by a normalization, which takes the "
    "strength away; a rate so high that no unit outside the crowd is ever trained.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = GuidedDropout(32, p=0.0)\n"
            "y = layer(torch.randn(16, 32))  # some passes without drops, until strengths say something\n"
            "layer.p = {rate}\n"
            "y = layer(torch.randn(16, 32))"
        },
    ),
    evidence="Keshari et al. 2019 say in their abstract that it can generalize better than dropout on MNIST, "
    "CIFAR-10, CIFAR-100, SVHN and Tiny ImageNet.",
    aliases=("guided_dropout_dr", "strength_dropout"),
    layers={"torch": "GuidedDropout"},
    waived={
        "rate": "the implementation that follows the paper: units of the crowd are never dropped",
        "moments": "the implementation that follows the paper: a kept unit has the factor t",
        "mean": "the implementation that follows the paper: nothing is scaled, in training or evaluation",
        "edges": "the implementation that follows the paper: the units of the crowd stay at any rate",
    },
)
