"""Max-pooling dropout: units are dropped before the strongest of each region is taken."""

from __future__ import annotations

import numpy as np

from dropkit.core.boxes import mosaic, tiles
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "chances", "strongest"]

_SHAPE, _RATE, _SIDE = (1, 1, 16, 32), 0.5, 2


def strongest(regions: Array, gone: Array) -> Array:
    """Return the largest entry of each region that is not gone, and 0 where all are.

    For entries that are at least 0, as behind a ReLU, that is the paper's max-pooling of units set to 0.

    Args:
        regions: (..., entries of a region).
        gone: which entries are dropped, of the same shape.

    >>> strongest(np.array([[1.0, 5.0, 3.0]]), np.array([[False, True, False]]))
    array([3.])
    """
    kept = np.where(gone, -np.inf, regions).max(-1)
    return np.asarray(np.where(gone.all(-1), 0.0, kept))


def chances(rate: float, n: int) -> tuple[float, ...]:
    """Return the probability that each entry of a region is the one that passes, from weakest to strongest.

    p_i = (1 - rate) rate**(n - i) for the i-th of n sorted entries: it is kept, and all stronger ones are
    gone. With rate**n nothing passes. (Wu and Gu 2015.)

    >>> chances(0.5, 3)
    (0.125, 0.25, 0.5)
    """
    return tuple((1 - rate) * rate ** (n - i) for i in range(1, n + 1))


def _sketch(key: Key) -> Array:
    regions = tiles(unit(key.fold("input"), _SHAPE), _SIDE)
    gone = tiles(draws(key, _SHAPE, "...").below(_RATE), _SIDE)
    passed = ~gone & (regions == strongest(regions, gone)[..., None])
    return np.asarray(mosaic(passed.astype(np.float64), _SIDE))


METHOD = Method(
    name="max_pooling_dropout",
    title="Max-pooling dropout",
    summary="Drops units before max-pooling, so that now and then a weaker unit speaks for its region; "
    "evaluation weights all units by their chance to do so.",
    formula="kept ~ Bernoulli(1 - rate) for each unit; training: y = max of the kept units of a region, 0 if "
    "there are none; evaluation: y = sum_i (1 - rate) rate^(n - i) a_(i) over the sorted units of a region",
    paper=Paper(
        title="Towards Dropout Training for Convolutional Neural Networks",
        authors=("Wu, Haibing", "Gu, Xiaodong"),
        year=2015,
        venue="arXiv",
        url="https://arxiv.org/abs/1512.00242",
        bibtex="""@article{wu2015towards,
  title   = {Towards Dropout Training for Convolutional Neural Networks},
  author  = {Wu, Haibing and Gu, Xiaodong},
  journal = {arXiv preprint arXiv:1512.00242},
  year    = {2015}
}""",
        checked="the abstract and reviews for the law; the chances follow from it and are enumerated in the "
        "tests; public code (treeano) for the training pass",
    ),
    site="activation",
    fields=("vision",),
    good_for="Networks with max-pooling behind a ReLU that overfit: it stands in the place of the pooling "
    "layer, and needs no other change.",
    bad_for="Networks without max-pooling; large pooling regions with a low rate, where the strongest units "
    "win nearly always; activations below 0.",
    sketch=_sketch,
    evidence="The abstract reports that weighted pooling at test time is superior to max-pooling, and very "
    "competitive results on CIFAR-10 and CIFAR-100 without data augmentation; the same authors' shorter text "
    "(arXiv:1512.01400) compares it with stochastic pooling.",
    example=Example(
        shape=_SHAPE,
        axes="b c h w",
        arguments={"rate": _RATE},
        usage={
            "torch": "pool = MaxPoolingDropout({rate}, kernel_size=2)\n"
            "x = torch.relu(torch.randn(1, 1, 16, 32))  # b c h w\n"
            "y = pool(x)"
        },
    ),
    aliases=("max_pool_dropout", "probabilistic_weighted_pooling", "dropout_max_pool_2d"),
    layers={"torch": "MaxPoolingDropout"},
    waived={
        "rate": "Wu and Gu 2015: a region passes one of its units, by their order",
        "mean": "Wu and Gu 2015, probabilistic weighted pooling: the mean over masks is the eval map",
    },
)
