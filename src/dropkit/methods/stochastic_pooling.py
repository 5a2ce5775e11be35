"""Stochastic pooling: each region passes one of its units, drawn by its share of the activation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.boxes import mosaic, tiles
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["METHOD", "chosen", "shares"]

_SHAPE, _SIDE = (1, 1, 16, 32), 2


def shares(regions: Any) -> Any:
    """Return the chance of each unit of a region: a_i / sum_k a_k, 0 for what is below 0.

    Where no unit is above 0, all chances are 0.

    >>> shares(np.array([1.0, 3.0, -2.0])).tolist()
    [0.25, 0.75, 0.0]
    """
    active = regions.clip(0)
    total = active.sum(-1)[..., None]
    return active / (total + (total == 0))


def chosen(regions: Any, u: Any) -> Any:
    """Return the number of the unit that a region passes, from uniform numbers in (0, 1).

    It is the first one at which the running sum of the activation exceeds u times the whole: unit i with
    probability a_i / sum_k a_k. Where no unit is above 0 it is the number of units, which none has.

    Args:
        regions: (..., units of a region).
        u: (...), in float64, where u times a sum stays below the sum.

    >>> chosen(np.array([[1.0, 0.0, 3.0], [0.0, -1.0, 0.0]]), np.array([0.5, 0.5])).tolist()
    [2, 3]
    """
    running = regions.clip(0).cumsum(-1)
    return (running <= u[..., None] * running[..., -1:]).sum(-1)


def _sketch(key: Key) -> Array:
    regions = tiles(unit(key.fold("input"), _SHAPE), _SIDE)
    index = chosen(regions, unit(key, regions.shape[:-1]))
    passed = index[..., None] == np.arange(regions.shape[-1])
    return np.asarray(mosaic(passed.astype(np.float64), _SIDE))


METHOD = Method(
    name="stochastic_pooling",
    title="Stochastic pooling",
    summary="Lets each pooling region pass one unit, drawn in proportion to its activation; evaluation takes "
    "the mean weighted by these chances.",
    formula="p_i = a_i / sum_k a_k over the units of a region, a >= 0; training: y = a_l with l ~ p; "
    "evaluation: y = sum_i p_i a_i",
    paper=Paper(
        title="Stochastic Pooling for Regularization of Deep Convolutional Neural Networks",
        authors=("Zeiler, Matthew D.", "Fergus, Rob"),
        year=2013,
        venue="ICLR",
        url="https://arxiv.org/abs/1301.3557",
        bibtex="""@inproceedings{zeiler2013stochastic,
  title     = {Stochastic Pooling for Regularization of Deep Convolutional Neural Networks},
  author    = {Zeiler, Matthew D. and Fergus, Rob},
  booktitle = {International Conference on Learning Representations},
  year      = {2013}
}""",
        checked="the abstract; Intel's DAAL manual and public code (treeano) for the law of both passes",
    ),
    site="activation",
    fields=("vision",),
    good_for="Networks with pooling behind a ReLU and little data: it replaces the pooling layer, has "
    "nothing to tune and goes with dropout in the dense layers.",
    bad_for="Activations below 0, of which it knows nothing; networks that underfit: one public comparison "
    "on ImageNet found it behind max-pooling for that reason.",
    sketch=_sketch,
    evidence="The abstract reports the best results of its time on four image data sets without data "
    "augmentation. A public comparison of pooling layers in an AlexNet on ImageNet at 128 pixels gives "
    "43.8 % accuracy against 47.0 % of max-pooling, and calls it underfitting.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        usage={
            "torch": "pool = StochasticPooling(kernel_size=2)\n"
            "x = torch.relu(torch.randn(1, 1, 16, 32))  # b c h w\n"
            "y = pool(x)"
        },
    ),
    aliases=("stochastic_pool", "stochastic_max_pool", "weighted_max_pool"),
    layers={"torch": "StochasticPooling"},
    waived={
        "rate": "Zeiler and Fergus 2013: a region passes one of its units, by its activation",
        "mean": "Zeiler and Fergus 2013, probabilistic weighting: the mean over draws is the eval map",
    },
)
