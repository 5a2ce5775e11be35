"""Shakeout: a coin of a unit enhances its contribution to the next layer, or reverses it."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws, unit

__all__ = ["METHOD", "factor", "reversal", "seen"]

Array = np.ndarray[Any, Any]

_SHAPE = (16, 32)


def factor(kept: Any, rate: float) -> Any:
    """Return dropout's factor r of each unit: 1 / (1 - rate) where `kept` is 1, and 0 where it is 0.

    >>> import numpy
    >>> factor(numpy.array([0.0, 1.0]), 0.5).tolist()
    [0.0, 2.0]
    """
    return kept / (1 - rate) if rate < 1 else kept * 0.0


def reversal(r: Any, strength: float) -> Any:
    """Return the factor c (r - 1) that the sign of a weight gets, beside r for the weight itself."""
    return strength * (r - 1)


def seen(w: Any, sign: Any, r: Any, strength: float) -> Any:
    """Return the weight that the next layer sees: r w + c (r - 1) sign(w).

    With probability rate this is -c sign(w), else (w + c rate sign(w)) / (1 - rate); its mean is w.

    Args:
        w: weights.
        sign: their signs.
        r: the factor of the unit that each weight comes from, see `factor`.
        strength: c, at least 0. With 0 this is dropout.

    >>> [seen(0.5, 1.0, r, 0.1) for r in (0.0, 2.0)]
    [-0.1, 1.1]
    """
    return r * w + reversal(r, strength) * sign


def _sketch(key: Key) -> Array:
    """Draw, as a share of the weight itself, what the next layer sees: below 0 where it is reversed."""
    w = unit(key.fold("example"), (_SHAPE[0], 1)) - 0.5
    r = factor(~draws(key, _SHAPE, "k j -> j").below(0.3), 0.3)
    return np.asarray(seen(w, np.sign(w), r, 0.05) / w)


METHOD = Method(
    name="shakeout",
    title="Shakeout",
    summary="Enhances or reverses the contribution of a unit to the next layer at random, instead of "
    "dropping it.",
    formula="r = 0 with probability rate, else 1 / (1 - rate), for each unit; the next layer sees the weight "
    "r w + c (r - 1) sign(w): -c sign(w), or (w + c rate sign(w)) / (1 - rate); evaluation: w",
    paper=Paper(
        title="Shakeout: A New Approach to Regularized Deep Neural Network Training",
        authors=("Kang, Guoliang", "Li, Jun", "Tao, Dacheng"),
        year=2018,
        venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
        url="https://arxiv.org/abs/1904.06593",
        bibtex="""@article{kang2018shakeout,
  title   = {Shakeout: A New Approach to Regularized Deep Neural Network Training},
  author  = {Kang, Guoliang and Li, Jun and Tao, Dacheng},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  year    = {2018}
}""",
        checked="the first author's code (shakeout_layer.cpp) for the law and the smoothed gradient of the "
        "sign; the abstract for the claims; citing lists for the reference",
    ),
    site="activation",
    fields=("vision",),
    good_for="Networks that are to be compressed: it pushes weights towards 0 as an L1 penalty would, while "
    "it regularizes as dropout does. Begin with a small strength.",
    bad_for="A strength far above the size of the weights, under which the reversed part is all there is; "
    "layers whose input has no units of its own, such as embeddings.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="k j",
        arguments={"rate": 0.3, "strength": 0.05},
        usage={
            "torch": "layer = Shakeout(torch.nn.Linear(32, 16), {rate}, strength=0.05)\n"
            "y = layer(torch.randn(8, 32))"
        },
    ),
    evidence="Kang et al. 2018 report in their abstract that on MNIST, CIFAR-10 and ImageNet it outperforms "
    "dropout and leads to sparser weights.",
    aliases=("shake_out",),
    old_names={
        "dropout_ratio": "the authors' code: the rate, tau in the paper",
        "shakeout_scale": "the authors' code: the strength, c in the paper",
    },
    around="layer",
    layers={"torch": "Shakeout"},
    waived={
        "rate": "shakeout_layer.cpp: a unit that falls contributes -c sign(w), not 0",
        "moments": "shakeout_layer.cpp: the factor of a contribution depends on the size of its weight",
        "edges": "shakeout_layer.cpp: at rate 1 every contribution is reversed",
    },
)
