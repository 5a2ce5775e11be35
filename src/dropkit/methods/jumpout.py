"""Jumpout: dropout for ReLUs with a random rate, made even over layers by the share of active units."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.noise import Gaussian
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "RATE", "drawn_rate", "factor", "spread_rate"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)
RATE = "jumpout.rate"
"""By which name a key is folded for the draw of the rate."""


def drawn_rate(z: Any, sigma: float, low: float, high: float) -> Any:
    """Return the rate of a call: low + sigma |z|, at most high.

    Args:
        z: a standard normal draw.
        sigma: the scale of the half-normal, at least 0.
        low: the smallest rate.
        high: the largest rate.

    >>> import numpy
    >>> drawn_rate(numpy.array([-1.0, 9.0]), 0.25, 0.05, 0.5)
    array([0.3, 0.5])
    """
    return (low + sigma * abs(z)).clip(low, high)


def spread_rate(rate: Any, active: Any, high: float) -> Any:
    """Return the rate for every unit with which active ones fall as often as `rate` of all: rate / active.

    Args:
        rate: the share of all units that shall be active and fall.
        active: the share of units that are active. Where none is, the rate is `high`.
        high: what the result is limited to, below 1.

    >>> import numpy
    >>> spread_rate(numpy.array([0.1, 0.1, 0.4]), numpy.array([0.5, 0.0, 0.5]), 0.6)
    array([0.2, 0.6, 0.6])
    """
    return (rate / (active + (active == 0))).clip(0, high) * (active > 0) + high * (active == 0)


def factor(kept: Any, rate: Any) -> Any:
    """Return the factor of each unit: (1 - rate)^-0.75 where it is kept, 0 elsewhere.

    The power lies between 1, which keeps the mean, and 1/2, which keeps the second moment.

    >>> import numpy
    >>> factor(numpy.array([1.0, 0.0]), 1 - 1 / 16).tolist()
    [8.0, 0.0]
    """
    return kept * (1 - rate) ** -0.75


def _sketch(key: Key) -> Array:
    """Draw the factors for an example of which half the units are active."""
    x = np.maximum(unit(key.fold("example"), _SHAPE) - 0.5, 0)
    words = draws(key.fold(RATE), (1,))
    z = Gaussian().standard(np, words.u, words.second)
    rate = spread_rate(drawn_rate(z, 0.2, 0.05, 0.6), np.mean(x > 0), 0.6)
    return np.asarray(factor(~draws(key, _SHAPE).below(rate), rate))


METHOD = Method(
    name="jumpout",
    title="Jumpout",
    summary="Draws the rate of each batch from a half-normal, evens it out over layers by the share of "
    "active ReLUs, and scales between what keeps the mean and what keeps the variance.",
    formula="p = min(low + sigma |z|, high) with z ~ N(0, 1), once a call; p' = p / (share of active units); "
    "kept ~ Bernoulli(1 - p'); y = x kept (1 - p')^-0.75",
    paper=Paper(
        title="Jumpout: Improved Dropout for Deep Neural Networks with ReLUs",
        authors=("Wang, Shengjie", "Zhou, Tianyi", "Bilmes, Jeff"),
        year=2019,
        venue="ICML",
        url="https://proceedings.mlr.press/v97/wang19q.html",
        bibtex="""@inproceedings{wang2019jumpout,
  title     = {Jumpout: Improved Dropout for Deep Neural Networks with ReLUs},
  author    = {Wang, Shengjie and Zhou, Tianyi and Bilmes, Jeff},
  booktitle = {International Conference on Machine Learning},
  series    = {Proceedings of Machine Learning Research},
  volume    = {97},
  pages     = {6668--6676},
  year      = {2019}
}""",
        checked="the conference's page for the reference and, in words, for the three changes: a half-normal "
        "rate, its division by the share of active units, a scale between those of mean and variance. No "
        "source was found that confirms the power 0.75 and the truncation; the limit of p' and the defaults "
        "are this library's",
    ),
    site="activation",
    fields=("vision", "tabular"),
    good_for="Layers after a ReLU in networks with batch normalization, without a rate to be tuned for each: "
    "the same share of active units falls in every layer.",
    bad_for="Activations that are never 0, such as GELU or sigmoid, where the share of positive entries says "
    "nothing; batches of one sample, whose share of active units is chance.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"sigma": 0.2, "low": 0.05},
        usage={"torch": "layer = Jumpout(sigma=0.2, low=0.05)\ny = layer(torch.randn(16, 32).relu())"},
    ),
    evidence="Wang et al. 2019 report in their abstract that it significantly improves networks on CIFAR-10, "
    "CIFAR-100, Fashion-MNIST, STL-10, SVHN and ImageNet-1k at negligible cost.",
    aliases=("jump_out",),
    layers={"torch": "Jumpout"},
    waived={
        "rate": "Wang et al. 2019, abstract: a rate is drawn for each batch, and its active units move it",
        "moments": "Wang et al. 2019, abstract: the scale keeps neither mean nor variance alone",
        "mean": "Wang et al. 2019, abstract: the scale trades the mean for the variance",
        "independence": "Wang et al. 2019, abstract: all units of a batch share the draw of their rate",
        "edges": "Wang et al. 2019, abstract: there is no rate to be set to 0 or 1",
    },
)
