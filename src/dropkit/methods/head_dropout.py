"""Head dropout: whole attention heads are dropped."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "head_dropout"]


def head_dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return head dropout: one coin for each attention head of each sample, for `(batch, heads, ...)`.

    It fits the heads' outputs `(b, h, query, features)` and their weights `(b, h, query, key)` alike. Kept
    heads grow by 1 / (1 - rate), which keeps the mean exactly, and all heads of a sample may go at once;
    DropHead, the published form, divides by the share of heads kept and always keeps one.

    Args:
        rate: the probability that a head is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> head_dropout(0.2).groups.pattern
    'b h ... -> b h'
    """
    return Drop(rate, "b h ... -> b h", scale=scale)


METHOD = Method(
    name="head_dropout",
    title="Head dropout",
    summary="Drops whole attention heads, so that a layer does not come to lean on a few of them.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, h); y = head kept / (1 - rate)",
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
        checked="the ACL Anthology's entry and abstract; public code of DropHead for the mask",
    ),
    site="head",
    fields=("text", "speech", "vision"),
    good_for="Transformers with eight heads or more that overfit, e.g. fine-tuning on little text, with a "
    "rate that changes during training: the paper schedules it.",
    bad_for="Layers with one to four heads, where all may go at once; pruned models, whose last heads are "
    "all needed.",
    describe=head_dropout,
    example=Example(shape=(2, 6, 6, 6), axes="b h q k", arguments={"rate": 0.3}),
    evidence="Zhou et al. 2020 (DropHead) drop whole heads, on a schedule, so that none dominates; their "
    "gains are for translation and text classification.",
    study=True,
    aliases=("headdrop",),
    layers={"torch": "HeadDropout", "keras": "HeadDropout"},
)
