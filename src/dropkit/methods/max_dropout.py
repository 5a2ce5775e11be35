"""MaxDropout: the largest activations are dropped, not random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["METHOD", "fallen"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def fallen(x: Any, low: Any, high: Any, band: Any) -> Any:
    """Return which entries lie in the upper band: (x - low) / (high - low) > 1 - band.

    Args:
        x: activations.
        low: the smallest of them.
        high: the largest. Where it equals `low`, nothing falls.
        band: the share of the range from low to high whose upper part falls, in [0, 1].

    >>> import numpy
    >>> x = numpy.array([0.0, 1.0, 2.0, 4.0])
    >>> fallen(x, x.min(), x.max(), 0.6)
    array([False, False,  True,  True])
    """
    return x - low > (1 - band) * (high - low)


def _sketch(key: Key) -> Array:
    """Draw the example, of which the largest entries fall."""
    x = unit(key, _SHAPE)
    return np.where(fallen(x, x.min(), x.max(), 0.3), 0.0, 1.0)


METHOD = Method(
    name="max_dropout",
    title="MaxDropout",
    summary="Drops the largest activations of a layer, so that the network learns to do with the others.",
    formula="n = (x - min x) / (max x - min x) over the whole batch; y = 0 where n > 1 - band, else x; "
    "evaluation: y = x",
    paper=Paper(
        title="MaxDropout: Deep Neural Network Regularization Based on Maximum Output Values",
        authors=(
            "Goncalves do Santos, Claudio Filipi",
            "Colombo, Danilo",
            "Roder, Mateus",
            "Papa, João Paulo",
        ),
        year=2020,
        venue="ICPR",
        url="https://arxiv.org/abs/2007.13723",
        bibtex="""@inproceedings{goncalves2020maxdropout,
  title     = {MaxDropout: Deep Neural Network Regularization Based on Maximum Output Values},
  author    = {Goncalves do Santos, Claudio Filipi and Colombo, Danilo and Roder, Mateus and
               Papa, Jo{\\~a}o Paulo},
  booktitle = {International Conference on Pattern Recognition},
  year      = {2020}
}""",
        checked="the authors' own code (MaxDropout.py) for the law, with a fixed band; the authors' page for "
        "the results, the conference's page for the reference; that the paper draws the band at random could "
        "not be read",
    ),
    site="activation",
    fields=("vision",),
    good_for="Image classifiers that lean on a few strong features, in the place of a dropout layer after "
    "an activation.",
    bad_for="Activations with outliers: one large entry widens the range, and nothing else falls. Evaluation "
    "in which the strong features are the right ones; Monte Carlo passes with a fixed band, which all agree.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"band": 0.3},
        usage={"torch": "layer = MaxDropout(band=0.3)\ny = layer(torch.randn(16, 32))"},
    ),
    evidence="The authors' page reports test errors of ResNet-18 with it and without: 4.66 and 4.72 on "
    "CIFAR-10, 21.93 and 22.46 on CIFAR-100 (per cent, means of 5 runs); for a Wide ResNet it finds 3.84 "
    "against 3.89 with dropout on CIFAR-10.",
    aliases=("maxdropout",),
    old_names={
        "drop": "the authors' code: the band, a share of the range of the values; it is no probability"
    },
    layers={"torch": "MaxDropout"},
    waived={
        "rate": "MaxDropout.py: which entries fall depends on their values alone",
        "independence": "MaxDropout.py: the range of the whole batch decides for each entry",
        "mean": "MaxDropout.py: the largest entries fall and nothing is scaled",
        "key": "MaxDropout.py: nothing is drawn where the band is fixed",
    },
)
