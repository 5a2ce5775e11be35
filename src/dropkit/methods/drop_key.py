"""DropKey: keys are hidden from queries before the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.choose import fallen
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import depth_rates, threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "decreasing_rates", "hidden"]

Array = Any
_SHAPE = (1, 2, 8, 16)


def hidden(u: Array, rate: float, xp: Any, visible: Array | None = None) -> Array:
    """Return which keys each query loses: those of a draw below the rate, but never the last visible one.

    d = -inf with probability rate, else 0; weights = softmax(scores + d) (Li et al. 2023). The paper leaves
    open what happens to a query that would lose every key: here the visible key of the largest draw stays.

    Args:
        u: a draw for each score, whole numbers below 2**32.
        rate: the probability that a query loses a key.
        xp: the module of the arrays, numpy or torch.
        visible: which keys a query may see at all; all, if left out.

    >>> import numpy
    >>> hidden(numpy.array([[5, 2**31, 9]]), 1.0, numpy)
    array([[ True, False,  True]])
    """
    return fallen(u, threshold(rate, xp), xp, visible)


def decreasing_rates(rate: float, depth: int) -> tuple[float, ...]:
    """Return one rate a layer, falling linearly with depth: rate (depth - l) / depth for l = 0 ... depth - 1.

    First layers see low-level features, which there are many of; the paper found falling rates better than
    constant and growing ones. Where exactly its line ends could not be confirmed.

    >>> decreasing_rates(0.5, 4)
    (0.5, 0.375, 0.25, 0.125)
    """
    return depth_rates(rate, depth)[::-1]


def _sketch(key: Key) -> Array:
    return np.where(hidden(draws(key, _SHAPE).u, 0.3, np), 0.0, 1.0)


METHOD = Method(
    name="drop_key",
    title="DropKey",
    summary="Hides random keys from each query before the softmax, so that the weights of the others grow "
    "and still sum to 1.",
    formula="d = -inf with probability rate, else 0, for each (b, h, q, k); "
    "weights = softmax(Q K^T / sqrt(d_k) + d); the last visible key of a query stays",
    paper=Paper(
        title="DropKey for Vision Transformer",
        authors=(
            "Li, Bonan",
            "Hu, Yinhan",
            "Nie, Xuecheng",
            "Han, Congying",
            "Jiang, Xiangjian",
            "Guo, Tiande",
            "Liu, Luoqi",
        ),
        year=2023,
        venue="CVPR",
        url="https://arxiv.org/abs/2208.02646",
        bibtex="""@inproceedings{li2023dropkey,
  title     = {DropKey for Vision Transformer},
  author    = {Li, Bonan and Hu, Yinhan and Nie, Xuecheng and Han, Congying and Jiang, Xiangjian and
               Guo, Tiande and Liu, Luoqi},
  booktitle = {Proceedings of the IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  pages     = {22700--22709},
  year      = {2023}
}""",
        checked="a public reading note with the equations and tables, and several public codes of the mask, "
        "for the law and the falling rates; citing bibliographies for the reference",
    ),
    site="attention",
    fields=("vision", "text"),
    good_for="Vision transformers of middle size and up, in the place of attention dropout, with a rate of "
    "0.05 to 0.1 in the first layer that falls with depth. It goes into attn_mask, so fused attention works.",
    bad_for="Scores whose hidden keys are marked by a finite number instead of -inf, unless visible is "
    "given; runs without a few last epochs at rate 0: the mean output moves when it is switched off.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b h q k",
        arguments={"rate": 0.3},
        usage={
            "torch": "layer = DropKey(0.1)\n"
            "query, key, value = torch.randn(3, 1, 2, 16, 4)\n"
            "scores = query @ key.mT / 4**0.5\n"
            "y = torch.softmax(layer(scores), dim=-1) @ value\n"
            "# or fused: what the layer makes of a bias of zeros is a mask\n"
            "mask = layer(torch.zeros(1, 2, 16, 16))\n"
            "z = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)"
        },
    ),
    evidence="Li et al. 2023 report for T2T-ViT-14 on ImageNet 82.04 % against 81.65 % with attention "
    "dropout, falling rates above constant and growing ones, and block-wise drops below single ones "
    "(figures from a public reading note).",
    aliases=("dropkey",),
    layers={"torch": "DropKey"},
    waived={
        "rate": "equation of d with one key spared: a key is lost with probability rate - rate**n / n of n "
        "visible keys",
        "moments": "equation of p: the factor of a weight is 1 / (sum of the weights that stay)",
        "mean": "section on inference: the paper corrects the mean by fine-tuning without it",
        "independence": "equation of p: the weights of a row share their denominator",
        "edges": "at rate 1 one key a query stays, for a softmax over none is undefined",
    },
)
