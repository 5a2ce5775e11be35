"""Hide-and-Seek: the cells of a grid over each input image are hidden, each by a coin of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.boxes import pick
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "grid", "hidden", "spread"]

_SHAPE, _RATE, _SIZES = (4, 1, 12, 18), 0.5, (4, 6)


def grid(height: int, width: int, size: int) -> tuple[int, int]:
    """Return how many rows and columns of cells a grid has; the last ones may be cut by the border.

    >>> grid(16, 10, 4)
    (4, 3)
    """
    return -(-height // size), -(-width // size)


def spread(cells: Any, height: int, width: int, size: int, xp: Any) -> Any:
    """Return the cell of each pixel: (batch, rows, columns) to (batch, height, width).

    >>> spread(np.array([[[1, 2]]]), 2, 3, 2, np).tolist()
    [[[1, 1, 2], [1, 1, 2]]]
    """
    rows, columns = (xp.arange(n, device=cells.device) // size for n in (height, width))
    return cells[:, rows[:, None], columns]


def hidden(layers: list[Any], which: Any) -> Any:
    """Return for each image the layer that it has drawn.

    Args:
        layers: what is hidden under each size of cell, bool, (batch, height, width); None where nothing is.
        which: a draw below 2**32 for each image, (batch, 1, 1).
    """
    chosen, gone = pick(which, len(layers)), which < 0
    for i, layer in enumerate(layers):
        if layer is not None:
            gone = gone | ((chosen == i) & layer)
    return gone


def _sketch(key: Key) -> Array:
    batch, _, height, width = _SHAPE
    layers = []
    for size in _SIZES:
        cells = draws(key.fold("cell", size), (batch, *grid(height, width, size))).below(_RATE)
        layers.append(spread(cells, height, width, size, np))
    which = draws(key.fold("size"), (batch, 1, 1)).u
    return np.asarray(1.0 - hidden(layers, which)[:, None])


METHOD = Method(
    name="hide_and_seek",
    title="Hide-and-Seek",
    summary="Hides cells of a grid over each input image, so that a network must find more than the most "
    "telling part of an object.",
    formula="a side k is drawn for each image; hidden ~ Bernoulli(rate) for each k x k cell; x = the mean of "
    "the data where hidden; nothing is scaled; evaluation: x",
    paper=Paper(
        title="Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised Object and Action "
        "Localization",
        authors=("Singh, Krishna Kumar", "Lee, Yong Jae"),
        year=2017,
        venue="ICCV",
        url="https://arxiv.org/abs/1704.04232",
        bibtex="""@inproceedings{singh2017hide,
  title     = {Hide-and-Seek: Forcing a Network to be Meticulous for Weakly-supervised Object and Action
               Localization},
  author    = {Singh, Krishna Kumar and Lee, Yong Jae},
  booktitle = {International Conference on Computer Vision},
  year      = {2017}
}""",
        checked="the abstract; the authors' own code (kkanshul/Hide-and-Seek) for the law and the sizes",
    ),
    site="input",
    fields=("vision",),
    good_for="Localisation from labels of whole images, where a network otherwise looks at one telling part; "
    "an augmentation of classifiers that rely on one part.",
    bad_for="Small objects, which a cell hides whole; images that were not normalised, unless `fill` is "
    "their mean.",
    sketch=_sketch,
    evidence="The abstract reports better weakly-supervised localisation than earlier methods on ILSVRC. A "
    "public comparison with ResNet-50 on ImageNet classification (PaddleClas) gives 77.43 % against 77.31 % "
    "without it.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = HideAndSeek({rate}, sizes=(0, 16, 32, 44, 56))  # those of the authors' code\n"
            "x = torch.randn(4, 3, 224, 224)  # b c h w, normalised\n"
            "y = layer(x)"
        },
    ),
    aliases=("has", "hide_and_seek_patches"),
    old_names={"hide_prob": "the rate, in the authors' code"},
    layers={"torch": "HideAndSeek"},
    waived={"mean": "hide_patch.py of the authors: what is kept is not scaled"},
)
