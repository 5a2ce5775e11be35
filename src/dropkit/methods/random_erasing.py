"""Random Erasing: a rectangle of random size, shape and place is painted over in some of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dropkit.core.boxes import box, pick, span
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws, unit

__all__ = ["ATTEMPTS", "METHOD", "NUMBERS", "WORDS", "erased", "first", "sides"]

ATTEMPTS = 10
"""How often a rectangle is drawn that does not fit before the image is left as it is."""

NUMBERS, WORDS = ("area", "aspect"), ("row", "column", "coin")
"""What is drawn: uniform numbers for each attempt, and words for each image."""

_SHAPE, _RATE = (4, 1, 16, 24), 0.5
_AREA, _ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)


def sides(
    area: Any, aspect: Any, height: int, width: int, share: tuple[float, float], ratio: tuple[float, float]
) -> tuple[Any, Any]:
    """Return height and width of rectangles, in pixels before rounding.

    S_e = S U(sl, sh), r_e = U(r1, r2), H_e = sqrt(S_e r_e), W_e = sqrt(S_e / r_e) (Zhong et al. 2020).

    Args:
        area: uniform numbers in (0, 1).
        aspect: the same.
        height: of the images.
        width: of the images.
        share: (sl, sh), the least and the largest share of the area.
        ratio: (r1, r2), the least and the largest quotient of height and width.

    >>> sides(0.5, 0.0, 8, 16, (0.0, 0.25), (1.0, 1.0))
    (4.0, 4.0)
    """
    low, high = share
    size = height * width * (low + (high - low) * area)
    shape = ratio[0] + (ratio[1] - ratio[0]) * aspect
    return (size * shape) ** 0.5, (size / shape) ** 0.5


def first(fits: Any, values: Any) -> Any:
    """Return for each image the value of its first attempt that fits, 0 where none does.

    >>> first(np.array([[False, True, True]]), np.array([[4, 5, 6]])).tolist()
    [5]
    """
    earliest = fits & (fits.cumsum(-1) == 1)
    return (values * earliest).sum(-1)


def erased(
    drawn: Mapping[str, Any],
    shape: tuple[int, int],
    share: tuple[float, float],
    ratio: tuple[float, float],
    rate: float,
    xp: Any,
) -> Any:
    """Return which places of each image are erased: bool, (batch, height, width).

    A rectangle fits where both sides are smaller than those of the image, as in the authors' code; the first
    one of the attempts that fits is taken.

    Args:
        drawn: uniform numbers in (0, 1) for `"area"` and `"aspect"`, (batch, attempts); draws below 2**32 for
            `"row"`, `"column"` and `"coin"`, (batch,).
        shape: (height, width) of the images.
        share: the least and the largest share of the area.
        ratio: the least and the largest quotient of height and width.
        rate: the probability that an image is erased.
        xp: numpy or torch.
    """
    found = sides(drawn["area"], drawn["aspect"], *shape, share, ratio)
    tall, wide = (xp.asarray(xp.round(side), dtype=xp.int64) for side in found)
    coin = drawn["coin"] < threshold(rate, xp)
    fits = (tall < shape[0]) & (wide < shape[1]) & coin[:, None]
    height, width = first(fits, tall), first(fits, wide)
    top = pick(drawn["row"], shape[0] - height + 1)
    left = pick(drawn["column"], shape[1] - width + 1)
    return box(span(top, height, shape[0], xp), span(left, width, shape[1], xp))


def _sketch(key: Key) -> Array:
    batch, _, height, width = _SHAPE
    drawn = {name: unit(key.fold(name), (batch, ATTEMPTS)) for name in NUMBERS}
    drawn |= {name: draws(key.fold(name), (batch,)).u for name in WORDS}
    gone = erased(drawn, (height, width), _AREA, _ASPECT, _RATE, np)
    return np.asarray(1.0 - gone[:, None])


METHOD = Method(
    name="random_erasing",
    title="Random Erasing",
    summary="Paints a rectangle of random size, shape and place over some of the input images.",
    formula="with probability p: S_e = S U(sl, sh), r_e = U(r1, 1 / r1), a sqrt(S_e r_e) x sqrt(S_e / r_e) "
    "rectangle at a random place inside the image is filled with noise, or with a mean; evaluation: x",
    paper=Paper(
        title="Random Erasing Data Augmentation",
        authors=("Zhong, Zhun", "Zheng, Liang", "Kang, Guoliang", "Li, Shaozi", "Yang, Yi"),
        year=2020,
        venue="AAAI",
        url="https://arxiv.org/abs/1708.04896",
        bibtex="""@inproceedings{zhong2020random,
  title     = {Random Erasing Data Augmentation},
  author    = {Zhong, Zhun and Zheng, Liang and Kang, Guoliang and Li, Shaozi and Yang, Yi},
  booktitle = {Proceedings of the AAAI Conference on Artificial Intelligence},
  year      = {2020}
}""",
        checked="the abstract and a review of the algorithm; the authors' own code "
        "(zhunzhong07/Random-Erasing) for the law, the defaults and the reference",
    ),
    site="input",
    fields=("vision",),
    good_for="Images with occlusion: recognising objects and persons that others partly hide. It goes with "
    "crops and flips.",
    bad_for="Images in which a small part decides; objects that are small in the image, unless they are "
    "erased one by one.",
    sketch=_sketch,
    evidence="The abstract of the first version reports WRN-28-10 errors of 3.08 % instead of 3.72 % on "
    "CIFAR-10 and 17.65 % instead of 18.68 % on CIFAR-100. A public comparison with ResNet-50 on ImageNet "
    "(PaddleClas) gives 77.91 % accuracy against 77.31 % without it.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = RandomErasing({rate})\n"
            "x = torch.randn(4, 3, 16, 24)  # b c h w, normalised\n"
            "y = layer(x)"
        },
    ),
    aliases=("random_erase", "erasing"),
    old_names={
        "probability": "that an image is erased at all",
        "scale": "(sl, sh), the share of the area, in torchvision",
        "ratio": "(r1, r2), height over width, in torchvision, where it is drawn evenly in its logarithm",
    },
    layers={"torch": "RandomErasing"},
    waived={
        "rate": "transforms.py of the authors: a rectangle lies inside the image, so the border loses less",
        "mean": "transforms.py of the authors: what is kept is not scaled",
        "independence": "transforms.py of the authors: a pixel falls with its rectangle",
    },
)
