"""Weight drop: DropConnect on the hidden-to-hidden weights of a recurrent module, one mask for all steps."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "weight_drop_lstm"]


def weight_drop_lstm(rate: Any, whole_rows: bool = False) -> Drop:
    """Return weight drop, to be applied to a hidden-to-hidden weight `(gates x hidden, hidden)` once a pass.

    Args:
        rate: the probability that a weight is dropped, in [0, 1].
        whole_rows: one coin for all weights into one gate of one unit, as the option `variational` of the
            authors' code has it.

    >>> weight_drop_lstm(0.5, whole_rows=True).groups.pattern
    'o i -> o'
    """
    return Drop(rate, "o i -> o" if whole_rows else "...")


METHOD = Method(
    name="weight_drop_lstm",
    title="Weight-dropped LSTM",
    summary="Drops weights between hidden states once before a pass, so that all time steps share the mask "
    "and fast recurrent kernels can be used as they are.",
    formula="U' = U kept / (1 - rate) with kept ~ Bernoulli(1 - rate) for each entry of the hidden-to-hidden "
    "weights U of every gate, once a pass; the recurrence runs with U'",
    paper=Paper(
        title="Regularizing and Optimizing LSTM Language Models",
        authors=("Merity, Stephen", "Keskar, Nitish Shirish", "Socher, Richard"),
        year=2018,
        venue="ICLR",
        url="https://arxiv.org/abs/1708.02182",
        bibtex="""@inproceedings{merity2018regularizing,
  title     = {Regularizing and Optimizing LSTM Language Models},
  author    = {Merity, Stephen and Keskar, Nitish Shirish and Socher, Richard},
  booktitle = {International Conference on Learning Representations},
  year      = {2018},
  url       = {https://arxiv.org/abs/1708.02182}
}""",
        checked="the abstract for the reference; copies of the authors' own code (awd-lstm-lm, "
        "weight_drop.py) for the law",
    ),
    site="weight",
    fields=("text", "speech"),
    good_for="Language models on LSTM, GRU or plain recurrent modules: the recurrence is regularised "
    "although its kernel hides the steps. The authors' code starts at 0.5.",
    bad_for="Short sequences and small hidden states that underfit; convolutions and attention, which have "
    "no weight that is used at each step.",
    sketch=lambda key: mask(key, (32, 16), weight_drop_lstm(0.5)),
    example=Example(
        shape=(32, 16),
        axes="o i",
        arguments={"rate": 0.5},
        usage={
            "torch": "lstm = WeightDrop(torch.nn.LSTM(8, 16), 0.5)\n"
            "y, state = lstm(torch.randn(5, 3, 8))  # time, batch, features",
        },
    ),
    variant_of="drop_connect",
    evidence="With it and further measures, word-level perplexities of 57.3 on Penn Treebank and 65.8 on "
    "WikiText-2 (abstract of Merity et al. 2018).",
    aliases=("weight_drop", "weight_dropped_lstm", "awd_lstm"),
    old_names={
        "wdrop": "awd-lstm-lm's rate of the recurrent weights",
        "recurrent_dropout (Keras)": "a mask on the hidden state, not on its weights",
        "dropout (torch.nn.LSTM)": "dropout of the outputs between layers",
    },
    around="module",
    layers={"torch": "WeightDrop"},
)
