"""Cutoff: tokens, features or a span of an embedded text are erased, and the views are held together."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import OneOf
from dropkit.core.choose import ranks
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["KINDS", "METHOD", "cut", "cut_count", "divergence", "span"]

Array = Any
_SHAPE = (6, 12, 8)
KINDS = OneOf(("token", "feature", "span"))


def cut_count(n: Array, rate: float, xp: Any) -> Array:
    """Return how many of n are erased: the whole number nearest to rate n, halves up.

    >>> cut_count(np.array([10, 5]), 0.3, np)
    array([3, 2])
    """
    share = xp.asarray(n, dtype=xp.float64) * rate
    return xp.asarray(xp.floor(share + 0.5), dtype=xp.int64)


def cut(u: Array, free: Array, rate: float, xp: Any) -> Array:
    """Return which entries of each row are erased: a random subset of those that are free (Shen et al. 2020).

    Args:
        u: a draw for each entry, whole numbers below 2**32; a row is the last axis.
        free: bool, which entries may be erased.
        rate: the share of the free entries of a row that is erased.
        xp: the module of the arrays, numpy or torch.

    >>> cut(np.array([[7, 5, 9, 3]]), np.array([[True, True, True, False]]), 0.6, np)
    array([[ True,  True, False, False]])
    """
    return ranks(u, free, xp) < cut_count(free.sum(-1), rate, xp)[..., None]


def span(u: Array, free: Array, rate: float, xp: Any) -> Array:
    """Return which entries of each row are erased: one run of the free ones, every start equally likely.

    Args:
        u: one draw a row, below 2**32 `(..., 1)`.
        free: bool, which entries may be erased; what is protected in between does not break the run.
        rate: the share of the free entries of a row that is erased.
        xp: the module of the arrays, numpy or torch.

    >>> span(np.array([[2**31]]), np.array([[True, True, False, True, True]]), 0.5, np)
    array([[False,  True, False,  True, False]])
    """
    n = free.sum(-1)[..., None]
    count = cut_count(n, rate, xp)
    start = u * (n - count + 1) // 2**32
    place = xp.cumsum(free, -1) - 1
    return free & (place >= start) & (place < start + count)


def divergence(log_p: Array, xp: Any) -> Array:
    """Return the Jensen-Shannon divergence of several views in nats, one for each row; at most log(views).

    (1 / N) sum_i KL(p_i || mean of all p), where 0 log 0 = 0.

    Args:
        log_p: logarithms of probabilities `(views, ..., classes)`.
        xp: the module of the arrays, numpy or torch.

    >>> bool(divergence(np.log([[0.5, 0.5], [0.5, 0.5]]), np) == 0)
    True
    """
    p = xp.exp(log_p)
    seen = p > 0
    # Both logarithms are kept finite where p is 0: a gradient of 0 times infinity would be nan.
    ratio = xp.where(seen, log_p, 0.0) - xp.log(xp.where(seen, p.mean(0), 1.0))
    return (p * ratio).sum(-1).mean(0)


def _sketch(key: Key) -> Array:
    batch, tokens, features = _SHAPE
    free = np.ones((batch, tokens), bool)
    gone = [
        cut(draws(key.fold("token"), (batch, tokens)).u, free, 0.25, np)[:2, :, None],
        cut(draws(key.fold("feature"), (batch, features)).u, np.ones((batch, features), bool), 0.25, np)[
            2:4, None, :
        ],
        span(draws(key.fold("span"), (batch, 1)).u, free, 0.25, np)[4:, :, None],
    ]
    whole = [np.broadcast_to(part, (2, tokens, features)) for part in gone]
    return np.where(np.concatenate(whole), 0.0, 1.0)


METHOD = Method(
    name="cutoff",
    title="Cutoff",
    summary="Erases a share of tokens, of features or one span of an embedded text, and pulls the "
    "predictions for such views together by their Jensen-Shannon divergence.",
    formula="a random subset of round(rate n) tokens, of round(rate d) features, or one run of round(rate n) "
    "tokens becomes 0; loss = CE(x) + alpha sum_i CE(x_i) + beta JS, "
    "JS = (1 / N) sum_i KL(p_i || mean of all p)",
    paper=Paper(
        title="A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language Understanding and "
        "Generation",
        authors=("Shen, Dinghan", "Zheng, Mingzhi", "Shen, Yelong", "Qu, Yanru", "Chen, Weizhu"),
        year=2020,
        venue="arXiv",
        url="https://arxiv.org/abs/2009.13818",
        bibtex="""@article{shen2020simple,
  title   = {A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language Understanding and
             Generation},
  author  = {Shen, Dinghan and Zheng, Mingzhi and Shen, Yelong and Qu, Yanru and Chen, Weizhu},
  journal = {arXiv preprint arXiv:2009.13818},
  year    = {2020}
}""",
        checked="the abstract, citing texts that tell the three kinds, and public code of the feature kind, "
        "which cuts the count off and draws with repetition: here the count is rounded and exact. The "
        "weights of the loss were not confirmed",
    ),
    site="embedding",
    fields=("text",),
    good_for="Fine-tuning of text encoders and translation models: one or more erased views beside the text "
    "itself, with a share of about a tenth. Protect class tokens and padding.",
    bad_for="Texts of a few tokens, where the count rounds to nothing; budgets that allow one pass a text: "
    "each view is a pass of its own. Erase position embeddings too, or the place of a word still shows.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.25},
        usage={
            "torch": "from dropkit.torch import jensen_shannon\n"
            'layer = Cutoff(0.1, kind="span", prefix=1)\n'
            "model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12 * 8, 3))\n"
            "words, labels = torch.randn(6, 12, 8), torch.randint(3, (6,))\n"
            "views = [model(words), model(layer(words)), model(layer(words))]\n"
            "loss = sum(torch.nn.functional.cross_entropy(view, labels) for view in views)\n"
            "loss = loss + jensen_shannon(views)"
        },
    ),
    evidence="Its abstract reports results on GLUE on par with or better than adversarial training, and the "
    "best result of its time on IWSLT2014 German-English; a public table lists 37.6 BLEU there.",
    aliases=("token_cutoff", "feature_cutoff", "span_cutoff"),
    old_names={"dim_cutoff": "feature cutoff", "cutoff_ratio": "the rate"},
    layers={"torch": "Cutoff"},
    waived={
        "rate": "definition of the three kinds: a fixed share of each text is erased, and a span covers "
        "places in the middle more often than ends",
        "mean": "definition of the three kinds: what is left is not scaled",
        "independence": "definition of the three kinds: the share is fixed, so entries depend on each other",
    },
)
