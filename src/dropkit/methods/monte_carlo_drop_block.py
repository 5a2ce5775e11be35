"""Monte Carlo DropBlock: DropBlock draws in evaluation too, for an average and its spread."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks
from dropkit.core.method import Example, Method, Paper

__all__ = ["METHOD", "monte_carlo_drop_block"]


def monte_carlo_drop_block(rate: Any, block_size: int | tuple[int, int] = 7) -> Drop:
    """Return DropBlock, to be drawn anew in each of several evaluation passes.

    What differs from DropBlock is when it draws: `dropkit.mode(model, "mc")` lets dropout draw while all else
    stays in evaluation; the mean of the passes is the prediction, their spread its uncertainty.

    Args:
        rate: the probability that an entry is dropped, in [0, 1], the same in training and evaluation.
        block_size: side of a block in entries, or (height, width).

    >>> monte_carlo_drop_block(0.1, 3).groups.sides
    {'h': 3, 'w': 3}
    """
    return Drop(rate, Blocks(block_size, over="h w", pattern="b c h w -> b c h w"))


METHOD = Method(
    name="monte_carlo_drop_block",
    title="Monte Carlo DropBlock",
    summary="Keeps DropBlock drawing at test time, and reads the uncertainty of a prediction off the spread "
    "of several passes.",
    formula="y_t = f(x; blocks_t) for t = 1 ... T with fresh blocks in evaluation; prediction mean_t y_t, "
    "epistemic uncertainty var_t y_t",
    paper=Paper(
        title="Monte Carlo DropBlock for Modelling Uncertainty in Object Detection",
        authors=("Deepshikha, Kumari", "Yelleni, Sai Harsha", "Srijith, P. K.", "Mohan, C. Krishna"),
        year=2021,
        venue="arXiv",
        url="https://arxiv.org/abs/2108.03614",
        bibtex="""@article{deepshikha2021monte,
  title   = {Monte Carlo DropBlock for Modelling Uncertainty in Object Detection},
  author  = {Deepshikha, Kumari and Yelleni, Sai Harsha and Srijith, P. K. and Mohan, C. Krishna},
  journal = {arXiv preprint arXiv:2108.03614},
  year    = {2021}
}""",
        checked="the abstract, and citing bibliographies for the reference",
    ),
    site="activation",
    fields=("vision",),
    good_for="Detectors and segmentation networks that were trained with DropBlock and shall say how sure "
    "they are, without a second training.",
    bad_for="Networks that were trained without DropBlock, whose passes are then merely worse; deadlines "
    "that leave no time for several passes.",
    describe=monte_carlo_drop_block,
    variant_of="drop_block",
    evidence="The abstract reports better generalisation, calibration and uncertainty of YOLO models in "
    "detection and segmentation. A later benchmark on YOLO and RT-DETR (arXiv:2604.12719) compares it with "
    "Monte Carlo dropout and stochastic depth, and calls the last one highly competitive.",
    example=Example(
        shape=(1, 1, 16, 32),
        axes="b c h w",
        arguments={"rate": 0.1, "block_size": 4},
        usage={
            "torch": "import dropkit\n\n"
            "blocks = DropBlock2d({rate}, block_size=4)\n"
            "model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), blocks).eval()\n"
            "x = torch.randn(1, 1, 16, 32)\n"
            'with dropkit.mode(model, "mc"):\n'
            "    passes = torch.stack([model(x) for _ in range(10)])\n"
            "mean, spread = passes.mean(0), passes.var(0)"
        },
    ),
    aliases=("mc_drop_block", "mc_dropblock"),
    layers={"torch": "DropBlock2d", "keras": "DropBlock2D"},
)
