"""Scheduled drop path: stochastic depth whose rate grows linearly over training."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask
from dropkit.core.schedule import Linear

__all__ = ["METHOD", "scheduled_drop_path"]

Array = np.ndarray[Any, Any]

_SHAPE = (8, 6, 6)


def scheduled_drop_path(rate: float, steps: int) -> Drop:
    """Return drop path whose rate grows from 0 to `rate` over `steps` optimizer steps, then stays.

    rate(step) = rate min(step / steps, 1), one coin a sample (Zoph et al. 2018; the schedule as in their
    code's version "v1"). Their version "v3" also multiplies the rate by the depth of the cell:
    `dropkit.depth_rates` gives one final rate a layer.

    Args:
        rate: the probability that a path is dropped at the end, in [0, 1].
        steps: how many optimizer steps the growth takes, at least 1; the paper's code takes all of training.

    Raises:
        DropkitError: an argument is out of its range.

    >>> scheduled_drop_path(0.4, 100).at(25).rate
    0.1
    """
    return Drop(Linear(0.0, rate, steps), "b ... -> b")


def _sketch(key: Key) -> Array:
    """Draw halfway through the schedule."""
    return mask(key, _SHAPE, scheduled_drop_path(0.8, 100).at(50))


METHOD = Method(
    name="scheduled_drop_path",
    title="Scheduled drop path",
    summary="Drops whole paths with a probability that grows linearly over training, from 0 to its end.",
    formula="rate(step) = rate min(step / steps, 1); kept ~ Bernoulli(1 - rate(step)) for each sample; "
    "y = branch(x) kept / (1 - rate(step))",
    paper=Paper(
        title="Learning Transferable Architectures for Scalable Image Recognition",
        authors=("Zoph, Barret", "Vasudevan, Vijay", "Shlens, Jonathon", "Le, Quoc V."),
        year=2018,
        venue="CVPR",
        url="https://arxiv.org/abs/1707.07012",
        bibtex="""@inproceedings{zoph2018learning,
  title     = {Learning Transferable Architectures for Scalable Image Recognition},
  author    = {Zoph, Barret and Vasudevan, Vijay and Shlens, Jonathon and Le, Quoc V.},
  booktitle = {IEEE Conference on Computer Vision and Pattern Recognition},
  year      = {2018}
}""",
        checked="the code of NASNet in TensorFlow's models (_apply_drop_path, also as adopted by others) for "
        "the law; the abstract for the claim; citing bibliographies for the reference",
    ),
    site="branch",
    fields=("vision",),
    good_for="Networks with many parallel paths a cell, trained for many passes: early steps stay nearly "
    "undisturbed, and the full rate comes when the network begins to overfit.",
    bad_for="Short trainings, which end before the rate is there; networks that underfit; resuming without "
    "the saved step, after which the rate begins at 0 again.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.4},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n"
            "layer = DropPath(dropkit.linear_schedule(0.0, {rate}, 1000))\n"
            "schedule = Stepper(layer)\n"
            "y = layer(torch.randn(8, 6, 6))\n"
            "schedule.step()"
        },
    ),
    variant_of="drop_path",
    evidence="Zoph et al. 2018 say in their abstract that it significantly improves generalization in the "
    "NASNet models.",
    aliases=("scheduled_droppath", "drop_path_schedule"),
    old_names={
        "drop_path_keep_prob": "NASNet's code: the probability that a path is KEPT at the end of training",
        "drop_connect_version": 'NASNet\'s code: the schedule of drop path ("v1" over steps, "v2" over '
        'depth, "v3" over both); no weight is dropped',
    },
    layers={"torch": "DropPath", "keras": "DropPath"},
)
