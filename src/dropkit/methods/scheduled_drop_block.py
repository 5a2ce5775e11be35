"""Scheduled DropBlock: DropBlock whose rate grows during training."""

from __future__ import annotations

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask
from dropkit.core.schedule import linear_schedule

__all__ = ["METHOD", "scheduled_drop_block"]

_SHAPE = (1, 1, 16, 32)


def scheduled_drop_block(
    rate: float, steps: int, block_size: int | tuple[int, int] = 7, couple_channels: bool = False
) -> Drop:
    """Return DropBlock whose rate grows from 0 to `rate` over `steps` optimizer steps, then stays.

    rate(step) = rate min(step / steps, 1); the paper lowers keep_prob linearly from 1 (Ghiasi et al. 2018).

    Args:
        rate: the probability that an entry is dropped at the end, in [0, 1].
        steps: after how many optimizer steps it is reached, at least 1.
        block_size: side of a block in entries, or (height, width).
        couple_channels: whether the channels of a sample share their blocks.

    Raises:
        DropkitError: an argument is out of range.

    >>> scheduled_drop_block(0.2, 100).at(50).rate
    0.1
    """
    own = "b h w" if couple_channels else "b c h w"
    blocks = Blocks(block_size, over="h w", pattern=f"b c h w -> {own}")
    return Drop(linear_schedule(0.0, rate, steps), blocks)


def _sketch(key: Key) -> Array:
    return np.asarray(mask(key, _SHAPE, scheduled_drop_block(0.4, 100, 4).at(50)))


METHOD = Method(
    name="scheduled_drop_block",
    title="Scheduled DropBlock",
    summary="DropBlock whose rate grows linearly from 0 during training, so that the first steps learn from "
    "whole maps.",
    formula="rate(step) = rate min(step / steps, 1); blocks as in DropBlock at rate(step)",
    paper=Paper(
        title="DropBlock: A regularization method for convolutional networks",
        authors=("Ghiasi, Golnaz", "Lin, Tsung-Yi", "Le, Quoc V."),
        year=2018,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1810.12890",
        bibtex="""@inproceedings{ghiasi2018dropblock,
  title     = {DropBlock: A regularization method for convolutional networks},
  author    = {Ghiasi, Golnaz and Lin, Tsung-Yi and Le, Quoc V.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {31},
  pages     = {10727--10737},
  year      = {2018}
}""",
        checked="the abstract and a review of the paper, which tell of keep_prob lowered from 1 over time",
    ),
    site="activation",
    fields=("vision",),
    good_for="Wherever DropBlock is used with a rate that would hurt the first epochs: the target may be "
    "higher, and its choice matters less.",
    bad_for="Short fine-tuning runs, which end before the rate is reached; training without a known number "
    "of steps.",
    sketch=_sketch,
    variant_of="drop_block",
    evidence="The abstract of Ghiasi et al. 2018 reports that dropping more units gradually during training "
    "gives better accuracy and is more robust to hyperparameter choices.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        arguments={"rate": 0.2},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import Stepper\n\n"
            "layer = DropBlock2d(dropkit.linear_schedule(0.0, 0.4, 100), block_size=4)\n"
            "stepper = Stepper(layer)\n"
            "y = layer(torch.randn(1, 1, 16, 32))\n"
            "stepper.step()  # after each optimizer.step()"
        },
    ),
    aliases=("scheduled_dropblock", "linear_scheduler_drop_block"),
    layers={"torch": "DropBlock2d", "keras": "DropBlock2D"},
)
