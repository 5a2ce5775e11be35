"""LoRA dropout: inputs and outputs of a low-rank update are dropped, and the rank is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale
from dropkit.core.reference import mask

__all__ = ["METHOD", "lora_dropout"]


def lora_dropout(rate: Any, scale: Scale = "train") -> tuple[Drop, Drop]:
    """Return the drops of the columns of A `(rank, inputs)` and of the rows of B `(outputs, rank)`.

    An entry of the update B A is kept with probability (1 - rate)^2 (Lin et al. 2024).

    Args:
        rate: the probability that an input, and that an output, is dropped, in [0, 1].
        scale: "train" grows what is kept by 1 / (1 - rate), so that the mean of the update stays; "none" does
            not.

    >>> [drop.groups.pattern for drop in lora_dropout(0.5)]
    ['r i -> i', 'o r -> o']
    """
    return Drop(rate, "r i -> i", scale=scale), Drop(rate, "o r -> o", scale=scale)


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    columns, rows = lora_dropout(0.3)
    a, b = mask(key.fold("lora_A"), (1, 32), columns), mask(key.fold("lora_B"), (16, 1), rows)
    return np.asarray(b * a)


METHOD = Method(
    name="lora_dropout",
    title="LoRA dropout",
    summary="Drops columns of A and rows of B of a low-rank update, so that whole inputs and outputs are "
    "missing and every rank stays.",
    formula="W' = W + (alpha / r) B' A', A' = A diag(m_A), B' = diag(m_B) B with m_A, m_B ~ Bernoulli(1 - "
    "rate) / (1 - rate) for each input and each output; evaluation: W + (alpha / r) B A, or the mean of "
    "several draws",
    paper=Paper(
        title="LoRA Dropout as a Sparsity Regularizer for Overfitting Control",
        authors=(
            "Lin, Yang",
            "Ma, Xinyu",
            "Chu, Xu",
            "Jin, Yujie",
            "Yang, Zhibang",
            "Wang, Yasha",
            "Mei, Hong",
        ),
        year=2024,
        venue="arXiv",
        url="https://arxiv.org/abs/2404.09610",
        bibtex="""@article{lin2024lora,
  title   = {LoRA Dropout as a Sparsity Regularizer for Overfitting Control},
  author  = {Lin, Yang and Ma, Xinyu and Chu, Xu and Jin, Yujie and Yang, Zhibang and Wang, Yasha and
             Mei, Hong},
  journal = {arXiv preprint arXiv:2404.09610},
  year    = {2024}
}""",
        checked="copies of the abstract for the reference; a summary that tells the share 2p - p^2 of "
        "dropped entries, and public code after the paper (A diag(m_A), diag(m_B) B), for the law. Whether "
        "the paper scales what is kept was not confirmed",
    ),
    site="weight",
    fields=("text", "vision"),
    good_for="Fine-tuning by low-rank updates on little data, above all at a high rank. Monte Carlo passes "
    "over it are the ensemble of the paper.",
    bad_for="Long training on much data, where an update of low rank underfits by itself; very small rates, "
    "which change little since both sides must be drawn anew.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="o i",
        arguments={"rate": 0.3},
        usage={
            "torch": "layer = LoRALinear(torch.nn.Linear(32, 16), rank=4, p=0.3)\n"
            "y = layer(torch.randn(8, 32))\n"
            "plain = layer.merged()  # an nn.Linear again"
        },
    ),
    evidence="The abstract reports better accuracy and calibration on several language tasks (Lin et al. "
    "2024). A comparison of dropouts for LoRA (Wang et al. 2024, arXiv 2403.00812) confirms that LoRA "
    "overfits and prefers drops of attention logits and hidden representations, HiddenKey.",
    aliases=("lora_drop_out",),
    old_names={
        "lora_dropout (PEFT)": "element-wise dropout of the update's input: `input_p` of LoRALinear",
    },
    around="module",
    layers={"torch": "LoRALinear"},
    waived={
        "independence": "Lin et al. 2024: the entries of a column share m_A, those of a row m_B",
        "rate": "as for independence: an entry is dropped with probability 1 - (1 - rate)^2",
    },
)
