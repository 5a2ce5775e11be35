"""Cutout: a square of each input image is set to zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.boxes import box, pick, span
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD", "cut"]

_SHAPE, _SIZE = (2, 1, 16, 24), 8


def cut(rows: Any, columns: Any, height: int, width: int, size: int, xp: Any) -> Any:
    """Return which places of each image lie in one of its squares: bool, (batch, height, width).

    The centre of a square lies anywhere in the image with the same probability, so that it may reach over
    the border, where it is clipped (DeVries and Taylor 2017).

    Args:
        rows: draws below 2**32 for the row of each centre, (batch, squares).
        columns: the same for its column.
        height: of the images.
        width: of the images.
        size: side of a square in pixels. The pixel of the centre is the first one of its second half.
        xp: numpy or torch.
    """
    down = span(pick(rows, height) - size // 2, size, height, xp)
    across = span(pick(columns, width) - size // 2, size, width, xp)
    return box(down, across).any(1)


def _sketch(key: Key) -> Array:
    batch, _, height, width = _SHAPE
    rows, columns = (draws(key.fold(name), (batch, 1)).u for name in ("row", "column"))
    gone = cut(rows, columns, height, width, _SIZE, np)
    return np.asarray(1.0 - gone[:, None])


METHOD = Method(
    name="cutout",
    title="Cutout",
    summary="Sets one square at a random place of each input image to zero.",
    formula="centre ~ U{pixels}; x = 0 in the k x k square around it, clipped at the border; nothing is "
    "scaled; evaluation: x",
    paper=Paper(
        title="Improved Regularization of Convolutional Neural Networks with Cutout",
        authors=("DeVries, Terrance", "Taylor, Graham W."),
        year=2017,
        venue="arXiv",
        url="https://arxiv.org/abs/1708.04552",
        bibtex="""@article{devries2017improved,
  title   = {Improved Regularization of Convolutional Neural Networks with Cutout},
  author  = {DeVries, Terrance and Taylor, Graham W.},
  journal = {arXiv preprint arXiv:1708.04552},
  year    = {2017}
}""",
        checked="the abstract; the authors' own code (uoguelph-mlrg/Cutout) for the law",
    ),
    site="input",
    fields=("vision",),
    good_for="Small images of one object, beside the usual crops and flips. Put it behind the "
    "normalisation, so that zero is the mean of the data; the best side grows with the object.",
    bad_for="Images in which a small part decides, such as text or lesions; detection of small objects; "
    "squares so large that the object is gone.",
    sketch=_sketch,
    evidence="The abstract reports test errors of 2.56 % on CIFAR-10, 15.20 % on CIFAR-100 and 1.30 % on "
    "SVHN, the best of their time. A public comparison with ResNet-50 on ImageNet (PaddleClas) gives 78.01 % "
    "against 77.31 % without it.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        arguments={"side": 8},
        usage={
            "torch": "layer = Cutout(size=8)\nx = torch.randn(2, 3, 16, 24)  # b c h w\ny = layer(x)",
        },
    ),
    aliases=("cut_out",),
    old_names={"length": "the side of a square in the authors' code", "n_holes": "how many squares an image"},
    layers={"torch": "Cutout"},
    waived={
        "rate": "cutout.py of the authors: squares are clipped, so the border loses less than the centre",
        "mean": "cutout.py of the authors: what is kept is not scaled",
        "independence": "cutout.py of the authors: a pixel falls with its square",
    },
)
