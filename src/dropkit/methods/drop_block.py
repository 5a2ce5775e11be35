"""DropBlock: contiguous squares of a feature map are dropped together."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "drop_block", "drop_block_3d"]


def drop_block(
    rate: Any,
    block_size: int | tuple[int, int] = 7,
    couple_channels: bool = False,
    scale: Scale = "train",
    published: bool = False,
) -> Drop:
    """Return DropBlock over the last two axes of a map `(batch, channels, height, width)`.

    A seed falls with probability 1 - (1 - rate)**(1 / block_size**2) on a map that is larger than the input
    by block_size - 1, so that every entry, corner or centre, is dropped with probability `rate`. The paper
    (Ghiasi et al. 2018) has seeds only where a whole block fits, with the first-order probability
    rate H W / (block_size**2 (H - block_size + 1) (W - block_size + 1)), and the authors' code divides what
    is kept by the share that is kept in the whole mask, over all samples and channels.

    Args:
        rate: the probability that an entry is dropped, in [0, 1].
        block_size: side of a block in entries, at least 1, or one for each of height and width. Even sides
            and blocks larger than the map are fine.
        couple_channels: whether all channels of a sample share their blocks.
        scale: where the factor 1 / (1 - rate) goes.
        published: draw seeds as the paper does and divide by the share kept, to repeat its runs: on average
            less than `rate` is dropped.

    >>> drop_block(0.1, 3).groups.sides
    {'h': 3, 'w': 3}
    """
    return Drop(rate, _blocks(block_size, "h w", couple_channels, published), scale=scale)


def drop_block_3d(
    rate: Any,
    block_size: int | tuple[int, int, int] = 7,
    couple_channels: bool = False,
    scale: Scale = "train",
    published: bool = False,
) -> Drop:
    """Return DropBlock over the last three axes of a map `(batch, channels, depth, height, width)`.

    Arguments as in `drop_block`, with a block of three sides.

    >>> drop_block_3d(0.1, (2, 3, 3)).groups.sides
    {'d': 2, 'h': 3, 'w': 3}
    """
    return Drop(rate, _blocks(block_size, "d h w", couple_channels, published), scale=scale)


def _blocks(size: int | tuple[int, ...], over: str, couple_channels: bool, published: bool) -> Blocks:
    own = f"b {over}" if couple_channels else f"b c {over}"
    return Blocks(size, over=over, pattern=f"b c {over} -> {own}", published=published)


METHOD = Method(
    name="drop_block",
    title="DropBlock",
    summary="Drops squares of neighbouring entries of a feature map, so that a dropped place cannot be read "
    "off its neighbours.",
    formula="seed ~ Bernoulli(1 - (1 - rate)^(1 / k^2)) on (H + k - 1) x (W + k - 1); an entry is dropped "
    "if a seed lies in the k x k window that ends at it; y = x kept / (1 - rate). As published: seed ~ "
    "Bernoulli(rate H W / (k^2 (H - k + 1) (W - k + 1))) where a whole block fits; y = x kept / (share kept "
    "in the whole mask)",
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
        checked="NeurIPS's page and a citing bibliography for the reference; the authors' code "
        "(tensorflow/tpu, models/official/resnet/resnet_model.py) for the published law; the rate of every "
        "entry is our own",
    ),
    site="activation",
    fields=("vision",),
    good_for="Convolutional networks that overfit although entry-wise dropout changes nothing: neighbours "
    "in a map say the same, and only a whole block takes information away. Start with a low rate and raise "
    "it during training. Volumes have DropBlock3d.",
    bad_for="Small maps (a block of 7 covers a 7 x 7 map whole), small models that underfit, dense layers.",
    describe=drop_block,
    example=Example(shape=(1, 1, 16, 32), axes="b c h w", arguments={"rate": 0.2, "block_size": 4}),
    evidence="Ghiasi et al. 2018 report 78.13 % for ResNet-50 on ImageNet, more than 1.6 points above "
    "none, and an AP of 38.4 instead of 36.8 for RetinaNet; the rate grows during training there. "
    "These figures are of the published law: published=True.",
    study=True,
    aliases=("dropblock", "drop_block_2d"),
    old_names={
        "gamma": "the probability of a seed in the paper, not the rate",
        "keep_prob (DropBlock)": "the share that stays: rate = 1 - keep_prob",
    },
    layers={"torch": "DropBlock2d", "keras": "DropBlock2D"},
)
