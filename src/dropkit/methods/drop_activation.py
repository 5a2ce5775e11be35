"""Drop-Activation: units lose their nonlinearity at random, not their value."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import apply, unit

__all__ = ["METHOD", "drop_activation"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def drop_activation(rate: float) -> Drop:
    """Return Drop-Activation, to be applied to relu(x) with x itself as `fill`.

    Training: y = x where the activation is dropped, relu(x) elsewhere. Evaluation: y = rate x +
    (1 - rate) relu(x), a leaky ReLU of slope `rate` (Liang et al. 2018). Nothing is scaled in training,
    hence scale="eval".

    Args:
        rate: the probability that a unit passes without its nonlinearity, in [0, 1].

    >>> import numpy
    >>> x = numpy.array([-2.0, 2.0])
    >>> apply(x.clip(0), drop_activation(0.25), mode="eval", fill=x)
    array([-0.5,  2. ])
    """
    return Drop(rate, scale="eval")


def _sketch(key: Key) -> Array:
    """Draw what becomes of inputs of both signs: 1 where x passes, 0 where the activation cuts it."""
    x = unit(key.fold("example"), _SHAPE) - 0.5
    y = apply(x.clip(0), drop_activation(0.3), key, fill=x)
    return np.asarray(y / x)


METHOD = Method(
    name="drop_activation",
    title="Drop-Activation",
    summary="Lets random units pass without their ReLU, so that the network becomes more linear.",
    formula="dropped ~ Bernoulli(rate) for each entry; training: y = x where dropped, else relu(x); "
    "evaluation: y = rate x + (1 - rate) relu(x)",
    paper=Paper(
        title="Drop-Activation: Implicit Parameter Reduction and Harmonious Regularization",
        authors=("Liang, Senwei", "Khoo, Yuehaw", "Yang, Haizhao"),
        year=2018,
        venue="arXiv",
        url="https://arxiv.org/abs/1811.05850",
        bibtex="""@article{liang2018dropactivation,
  title   = {Drop-Activation: Implicit Parameter Reduction and Harmonious Regularization},
  author  = {Liang, Senwei and Khoo, Yuehaw and Yang, Haizhao},
  journal = {arXiv preprint arXiv:1811.05850},
  year    = {2018}
}""",
        checked="the authors' own code (dropRelu in da_wrn.py) for the law; the abstract and the authors' "
        "page for the reference",
    ),
    site="activation",
    fields=("vision",),
    good_for="Convolutional networks with batch normalization, where zeroing units would move the "
    "statistics: it takes the place of the ReLU. The authors' code drops 5 in 100 activations.",
    bad_for="Networks that need their ReLU exactly, e.g. for sparse activations; high rates, at which the "
    "network is nearly linear; models whose evaluation must keep the plain ReLU.",
    sketch=_sketch,
    example=Example(shape=_SHAPE, axes="b d", arguments={"rate": 0.3}),
    evidence="Liang et al. 2018 report in their abstract that it generally improves popular image "
    "classifiers on CIFAR-10, CIFAR-100, SVHN, EMNIST and ImageNet, also together with batch normalization.",
    aliases=("dropactivation", "drop_relu"),
    old_names={"keep_prob": "the authors' code: the probability that the ReLU is KEPT"},
    layers={"torch": "DropActivation"},
    waived={
        "mean": "dropRelu in the authors' code: the expected output is rate x + (1 - rate) relu(x), the eval "
        "map",
        "edges": "dropRelu in the authors' code: a dropped entry is x itself, and an active one never falls",
    },
)
