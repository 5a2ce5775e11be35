"""DropHead: whole attention heads are dropped, and those that stay share what all gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.choose import fallen
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "factors"]

Array = Any
_SHAPE = (4, 8, 2, 4)


def factors(u: Array, word: Any, xp: Any) -> Array:
    """Return the factor of each head: 0 where it is dropped, else heads / heads that stay.

    One head of a sample always stays, that of the largest draw. The factors of a sample add up to the number
    of heads, so that the mean of each is 1 (Zhou et al. 2020).

    Args:
        u: a draw for each head, whole numbers below 2**32 `(batch, heads)`.
        word: the threshold of the rate, see `dropkit.core.rate.threshold`.
        xp: the module of the arrays, numpy or torch.

    >>> factors(np.array([[5, 9, 7, 8]]), 8, np)
    array([[0., 2., 0., 2.]])
    """
    kept = xp.asarray(~fallen(u, word, xp), dtype=xp.float64, device=u.device)
    return kept * (u.shape[-1] / kept.sum(-1)[..., None])


def _sketch(key: Key) -> Array:
    drawn = factors(draws(key, _SHAPE[:2]).u, threshold(0.3, np), np)
    return np.broadcast_to(drawn[..., None, None], _SHAPE).copy()


METHOD = Method(
    name="drop_head",
    title="Scheduled DropHead",
    summary="Drops whole attention heads, at least one of which stays, and divides by the share that stayed, "
    "with a rate that falls to 0 and rises again.",
    formula="kept_h ~ Bernoulli(1 - rate) for each (b, h), the last head of a sample is kept; "
    "y_h = x_h kept_h H / (kept_1 + ... + kept_H); rate(step) falls linearly from start to 0, then rises to "
    "end",
    paper=Paper(
        title="Scheduled DropHead: A Regularization Method for Transformer Models",
        authors=("Zhou, Wangchunshu", "Ge, Tao", "Wei, Furu", "Zhou, Ming", "Xu, Ke"),
        year=2020,
        venue="Findings of EMNLP",
        url="https://aclanthology.org/2020.findings-emnlp.178",
        bibtex="""@inproceedings{zhou2020scheduled,
  title     = {Scheduled DropHead: A Regularization Method for Transformer Models},
  author    = {Zhou, Wangchunshu and Ge, Tao and Wei, Furu and Zhou, Ming and Xu, Ke},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2020},
  pages     = {1971--1980},
  year      = {2020},
  doi       = {10.18653/v1/2020.findings-emnlp.178}
}""",
        checked="the abstract; several public codes for the factor H / kept, one for the two arms of the "
        "schedule. The codes divide by 0 where all heads fall; that one stays is this catalogue's mend",
    ),
    site="head",
    fields=("text", "speech"),
    good_for="Transformers with eight heads or more in translation and text classification: no few heads "
    "come to do all the work. Let the rate move by a valley_schedule, as the word scheduled asks.",
    bad_for="Layers with few heads, of which one always stays, so that the written rate is not reached; "
    "layers whose heads were pruned already.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b h t d",
        arguments={"rate": 0.3},
        usage={
            "torch": "import dropkit\n"
            "layer = DropHead(dropkit.valley_schedule(0.2, 0.2, turn=800, steps=1000))\n"
            "x = torch.randn(4, 8, 10, 16)  # batch, heads, time, features of a head\n"
            "y = layer(x)"
        },
    ),
    evidence="Zhou et al. 2020 (abstract) report 0.9 BLEU on WMT14 English-German and around 1.0 accuracy in "
    "text classification over transformers without it.",
    aliases=("drophead", "scheduled_drophead"),
    layers={"torch": "DropHead"},
    waived={
        "rate": "public code of the paper's law with one head spared: a head falls with probability "
        "rate - rate**H / H",
        "moments": "public code: a kept head's factor H / kept depends on how many stay",
        "independence": "public code: heads of a sample share the number of those that stay",
        "edges": "at rate 1 one head of a sample stays, for none would leave nothing to divide by",
    },
)
