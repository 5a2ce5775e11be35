"""Attention dropout: dropout on the probabilities of attention, behind the softmax."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "attention_dropout"]


def attention_dropout(rate: Any, scale: Scale = "train") -> Drop:
    """Return attention dropout: one coin for each entry of the weights `(batch, heads, queries, keys)`.

    It is dropout behind the softmax. What a query gives to its keys then sums to 1 on average only; DropKey
    and DropAttention let it sum to 1 in every draw.

    Args:
        rate: the probability that a query does not see a key, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes.

    >>> attention_dropout(0.1).groups.pattern
    '...'
    """
    return Drop(rate, scale=scale)


METHOD = Method(
    name="attention_dropout",
    title="Attention dropout",
    summary="Drops single weights of attention behind the softmax, so that a query cannot rely on one key.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, h, q, k); "
    "y = (softmax(Q K^T / sqrt(d)) kept / (1 - rate)) V",
    paper=Paper(
        title="Attention Is All You Need",
        authors=(
            "Vaswani, Ashish",
            "Shazeer, Noam",
            "Parmar, Niki",
            "Uszkoreit, Jakob",
            "Jones, Llion",
            "Gomez, Aidan N.",
            "Kaiser, Łukasz",
            "Polosukhin, Illia",
        ),
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1706.03762",
        bibtex="""@inproceedings{vaswani2017attention,
  title     = {Attention Is All You Need},
  author    = {Vaswani, Ashish and Shazeer, Noam and Parmar, Niki and Uszkoreit, Jakob and Jones, Llion and
               Gomez, Aidan N. and Kaiser, {\\L}ukasz and Polosukhin, Illia},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  year      = {2017}
}""",
        checked="the code of tensor2tensor (attention_dropout) and of BERT, whose comment takes it from this "
        "paper; the paper's own text was not read, and may name the other sites of dropout alone",
    ),
    site="attention",
    fields=("text", "vision", "speech"),
    good_for="Transformers of every kind that are trained for many passes or fine-tuned on little data; "
    "BERT's public code has rate 0.1.",
    bad_for="Kernels that round the rate to 8 bits, at rates below one percent; evaluation by "
    "F.scaled_dot_product_attention with dropout_p, which drops in evaluation too unless it is given 0.",
    describe=attention_dropout,
    example=Example(
        shape=(1, 2, 8, 16),
        axes="b h q k",
        arguments={"rate": 0.1},
        usage={
            "torch": "drop = Dropout({rate})\n"
            "query, key, value = torch.randn(3, 1, 2, 16, 4)\n"
            "weights = torch.softmax(query @ key.mT / 4**0.5, dim=-1)\n"
            "y = drop(weights) @ value  # drops in training alone"
        },
    ),
    variant_of="dropout",
    evidence="Li et al. 2023 (DropKey, figures from a public reading note) report for T2T-ViT-14 on ImageNet "
    "81.65 % with it against 82.04 % where keys are dropped before the softmax.",
    aliases=("attn_drop", "attention_probs_dropout"),
    old_names={
        "attn_pdrop": "GPT-2's rate of attention dropout",
        "attn_drop": "timm's rate of attention dropout",
        "torch.nn.MultiheadAttention(dropout=)": "attention dropout, with a rate that is no module and that "
        "searches for dropout modules do not find",
        "F.scaled_dot_product_attention(dropout_p=)": "attention dropout that knows nothing of eval()",
    },
    layers={"torch": "Dropout", "keras": "MultiHeadAttention"},
)
