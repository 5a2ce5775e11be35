"""Zaremba's dropout of recurrent networks: on what goes up, never on what goes on in time."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "zaremba_dropout"]

_SHAPE = (3, 10, 10)


def zaremba_dropout(rate: Any) -> dict[str, Any]:
    """Return the sites of a recurrent network that are dropped, each with its description.

    h[t, l] = cell(drop(h[t, l - 1]), h[t - 1, l]) with a fresh mask at each step, and h[t, 0] the input; what
    the last layer gives is dropped too (Zaremba et al. 2014, section 3.2).

    Args:
        rate: the probability that an entry is dropped, in [0, 1].

    Returns:
        descriptions over (batch, time, features) of "input", "between" and "output".

    >>> {site: drop.groups.pattern for site, drop in zaremba_dropout(0.2).items()}
    {'input': 'b t d -> b t d', 'between': 'b t d -> b t d', 'output': 'b t d -> b t d'}
    """
    fresh = Drop(rate, "b t d -> b t d")
    return {"input": fresh, "between": fresh, "output": fresh}


def _sketch(key: Key) -> Array:
    return mask(key, _SHAPE, zaremba_dropout(0.3)["input"])


METHOD = Method(
    name="zaremba_dropout",
    title="Non-recurrent dropout of RNNs",
    summary="Drops what enters a recurrent layer, what goes from layer to layer and what the last one gives, "
    "with a fresh mask at each step, and leaves the connections in time alone.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, t, d); h[t, l] = cell(h[t, l - 1] kept / (1 - rate), "
    "h[t - 1, l])",
    paper=Paper(
        title="Recurrent Neural Network Regularization",
        authors=("Zaremba, Wojciech", "Sutskever, Ilya", "Vinyals, Oriol"),
        year=2014,
        venue="arXiv",
        url="https://arxiv.org/abs/1409.2329",
        bibtex="""@article{zaremba2014recurrent,
  title   = {Recurrent Neural Network Regularization},
  author  = {Zaremba, Wojciech and Sutskever, Ilya and Vinyals, Oriol},
  journal = {arXiv preprint arXiv:1409.2329},
  year    = {2014}
}""",
        checked="the head of the paper (ar5iv) for the reference; notes on the paper for the equation: the "
        "dropout stands on h[t, l - 1] alone",
    ),
    site="activation",
    fields=("text", "speech"),
    good_for="Stacked recurrent networks as a first step: it runs at the full speed of the fused kernels.",
    bad_for="A single layer whose trouble lies in the recurrence: no connection in time is dropped, see "
    "gal_dropout and weight dropout.",
    sketch=_sketch,
    variant_of="dropout",
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.3},
        usage={
            "torch": "from dropkit.methods.zaremba_dropout import zaremba_dropout\n\n"
            "layer = DropLSTM(10, 20, num_layers=2, batch_first=True, **zaremba_dropout(0.3))\n"
            "x = torch.randn(3, 10, 10)\n"
            "y, (h, c) = layer(x)"
        },
    ),
    evidence="The authors report less overfitting in language modelling, speech recognition, captions and "
    "translation. Gal and Ghahramani 2016 report better results with masks that stay the same over time.",
    aliases=("non_recurrent_dropout", "rnn_regularization"),
    old_names={
        "torch.nn.LSTM(dropout=p)": "this between the layers alone: neither the input nor the output "
        "of the last layer is dropped",
    },
    layers={"torch": "DropLSTM"},
)
