"""Gal's dropout of recurrent networks: one mask for all steps, on inputs and on the state."""

from __future__ import annotations

from typing import Any

from dropkit.core.check import check_kind
from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "gal_dropout"]

_SHAPE = (3, 10, 32)


def gal_dropout(
    rate: Any, state: Any = None, output: Any = None, untied: bool = False, fresh: bool = False
) -> dict[str, Any]:
    """Return the sites of a recurrent network that are dropped, each with its description.

    gates[t] = W (x[t] z_x) + U (h[t - 1] z_h), where z_x and z_h are drawn once a sequence. The paper's tied
    weights have one mask for all gates, its untied weights one for each gate (Gal and Ghahramani 2016). Naive
    dropout, which the paper compares with, draws anew at each step: `fresh=True`; with `state=0.0` it spares
    the state too, as the technique of Zaremba et al. does.

    Args:
        rate: the probability that an entry of what enters a layer is dropped, in [0, 1].
        state: that of h[t - 1], in [0, 1]; by default `rate`.
        output: that of what the last layer gives, in [0, 1]; by default `rate`.
        untied: whether each gate has masks of its own; then no fused kernel serves.
        fresh: whether each step has masks of its own: naive dropout at the same sites.

    Returns:
        descriptions over (batch, time, features), or (batch, time, gates, features), of "input", "between",
        "state" and "output".

    >>> gal_dropout(0.2, state=0.3)["state"]
    Drop(rate=0.3, groups=Pattern(pattern='b t d -> b d', sizes=()), noise=Bernoulli(), scale='train')
    """
    check_kind("untied", untied, bool, "write True or False")
    time = "t " if check_kind("fresh", fresh, bool, "write True or False") else ""
    pattern = f"b t g d -> b {time}g d" if untied else f"b t d -> b {time}d"
    entering = Drop(rate, pattern)
    return {
        "input": entering,
        "between": entering,
        "state": Drop(rate if state is None else state, pattern),
        "output": Drop(rate if output is None else output, f"b t d -> b {time}d"),
    }


def _sketch(key: Key) -> Array:
    return mask(key, _SHAPE, gal_dropout(0.3)["state"])


METHOD = Method(
    name="gal_dropout",
    title="Variational RNN dropout",
    summary="Drops the inputs and the previous state of a recurrent layer with masks that are drawn once a "
    "sequence, so that the connections in time are regularized too.",
    formula="z_x, z_h ~ Bernoulli(1 - rate) / (1 - rate), once a sequence; gates[t] = W (x[t] z_x) + "
    "U (h[t - 1] z_h) + b; untied: a z_x and a z_h for each gate; naive (fresh): drawn anew at each step",
    paper=Paper(
        title="A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
        authors=("Gal, Yarin", "Ghahramani, Zoubin"),
        year=2016,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1512.05287",
        bibtex="""@inproceedings{gal2016theoretically,
  title     = {A Theoretically Grounded Application of Dropout in Recurrent Neural Networks},
  author    = {Gal, Yarin and Ghahramani, Zoubin},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {29},
  pages     = {1019--1027},
  year      = {2016}
}""",
        checked="NeurIPS's metadata for the reference and the abstract; notes on the paper for untied "
        "weights, which may have a mask for each gate; the paper's equations were not read again",
    ),
    site="state",
    fields=("text", "speech"),
    good_for="Recurrent networks on little data, and Monte Carlo predictions from them: a mask that stays "
    "the same over time is one drawn model.",
    bad_for="Speed: a mask on the state rules the fused kernels out. High rates on the state, which leave "
    "little memory. Streams in pieces, unless the pieces share a key.",
    sketch=_sketch,
    variant_of="locked_dropout",
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.3},
        usage={
            "torch": "from dropkit.methods.gal_dropout import gal_dropout\n\n"
            "layer = DropLSTM(10, 20, num_layers=2, batch_first=True, **gal_dropout(0.3, state=0.2))\n"
            "x = torch.randn(3, 10, 10)\n"
            "y, (h, c) = layer(x)"
        },
    ),
    evidence="The abstract reports that it outperforms existing techniques in language modelling and "
    "sentiment analysis, with a test perplexity of 73.4 on the Penn Treebank.",
    aliases=("variational_rnn_dropout", "recurrent_dropout"),
    old_names={
        "naive dropout": "gal_dropout(rate, fresh=True): new masks at each step at the same sites; with "
        "state=0.0 the state is spared too",
        "tied weights": "gal_dropout(rate): one mask for all gates",
        "untied weights": "gal_dropout(rate, untied=True): a mask for each gate",
        "keras.layers.LSTM(dropout=p, recurrent_dropout=q)": "this: p on the inputs, q on the previous state",
    },
    layers={"torch": "DropLSTM", "keras": "DropRNN"},
)
