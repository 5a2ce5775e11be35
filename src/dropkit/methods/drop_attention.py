"""DropAttention: weights of attention are dropped and the rest of a row is brought back to a sum of 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "coins", "renormalized"]

Array = Any
_SHAPE = (1, 2, 8, 16)
_PATTERNS = {"column": "b h q k -> b h k", "element": "b h q k -> b h q k"}
UNITS = OneOf(tuple(_PATTERNS))


def coins(rate: Any, unit: str = "column", window: int = 1) -> Drop:
    """Return which weights `(batch, heads, queries, keys)` fall, before the rest is renormalised.

    Args:
        rate: the probability that a weight is dropped, in [0, 1]; windows keep it at every key.
        unit: `"column"` drops a key for all queries of a head, `"element"` for one query.
        window: how many neighbouring keys fall together, at least 1.

    Raises:
        DropkitError: the unit is neither word, or the window is no count.

    >>> coins(0.1, "element").groups.pattern
    'b h q k -> b h q k'
    """
    pattern = _PATTERNS[UNITS.check("unit", unit)]
    return Drop(rate, Blocks(window, over="k", pattern=pattern), scale="none")


def renormalized(weights: Array, kept: Array, xp: Any) -> Array:
    """Return weights kept / (sum over a row of weights kept): again a distribution (Lin et al. 2019).

    A row of which nothing is left passes as it is.

    Args:
        weights: attention behind the softmax; a row is the last axis.
        kept: bool, which weights stay.
        xp: the module of the arrays, numpy or torch.

    >>> renormalized(np.array([[0.5, 0.3, 0.2]]), np.array([[True, True, False]]), np)
    array([[0.625, 0.375, 0.   ]])
    """
    rest = xp.where(kept, weights, 0.0)
    total = rest.sum(-1)[..., None]
    # The quotient is taken where it is defined: elsewhere its gradient would be nan.
    return xp.where(total > 0, rest / xp.where(total > 0, total, 1.0), weights)


def _sketch(key: Key) -> Array:
    kept = mask(key, _SHAPE, coins(0.3, window=2)) != 0
    return renormalized(np.full(_SHAPE, 1 / _SHAPE[-1]), kept, np) * _SHAPE[-1]


METHOD = Method(
    name="drop_attention",
    title="DropAttention",
    summary="Drops keys or single weights of attention, also in windows of neighbours, and renormalises each "
    "row to a sum of 1.",
    formula="kept ~ windows of w keys, dropped with probability rate at each key, for each (b, h, k) or "
    "(b, h, q, k); y_qk = a_qk kept_qk / sum_j a_qj kept_qj",
    paper=Paper(
        title="DropAttention: A Regularization Method for Fully-Connected Self-Attention Networks",
        authors=(
            "Lin, Zehui",
            "Liu, Pengfei",
            "Huang, Luyao",
            "Fu, Jie",
            "Chen, Junkun",
            "Qiu, Xipeng",
            "Huang, Xuanjing",
        ),
        year=2019,
        venue="arXiv",
        url="https://arxiv.org/abs/1907.11065",
        bibtex="""@article{lin2019dropattention,
  title   = {DropAttention: A Regularization Method for Fully-Connected Self-Attention Networks},
  author  = {Lin, Zehui and Liu, Pengfei and Huang, Luyao and Fu, Jie and Chen, Junkun and Qiu, Xipeng and
             Huang, Xuanjing},
  journal = {arXiv preprint arXiv:1907.11065},
  year    = {2019}
}""",
        checked="arXiv's listing and abstract for the reference; a reading note of DropKey that gives the "
        "renormalised sum, and a note that it drops columns or entries. Windows were not confirmed, nor how "
        "the paper turns the rate of a key into that of a window: here every key is dropped at the rate",
    ),
    site="attention",
    fields=("text",),
    good_for="Transformers for text that overfit, in the place of attention dropout: what a query gets stays "
    "an average of values. Columns hide a word from all queries of a head.",
    bad_for="Fused attention, which never shows its weights: take DropKey there, which is the same law for "
    "single weights; high rates on short sequences.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b h q k",
        arguments={"rate": 0.3},
        usage={
            "torch": 'layer = DropAttention(0.2, unit="column", window=2)\n'
            "query, key, value = torch.randn(3, 1, 2, 16, 4)\n"
            "weights = torch.softmax(query @ key.mT / 4**0.5, dim=-1)\n"
            "y = layer(weights) @ value"
        },
    ),
    evidence="Its abstract reports better results and less overfitting over a range of tasks. Li et al. 2023 "
    "(DropKey) hold that explicit renormalisation smooths less than hiding keys before the softmax.",
    aliases=("dropattention",),
    layers={"torch": "DropAttention"},
    waived={
        "moments": "law y = a kept / sum: the factor of a kept weight depends on those that fell",
        "mean": "law y = a kept / sum: a large weight loses on average and a small one gains",
        "independence": "law y = a kept / sum: the weights of a row share their denominator",
        "gradient": "law y = a kept / sum: the denominator has a gradient too",
        "edges": "at rate 1 the sum is 0 and the quotient undefined: such a row passes as it is",
    },
)
