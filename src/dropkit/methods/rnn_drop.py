"""rnnDrop: one mask a sequence on the cell state of an LSTM."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "rnn_drop"]

_SHAPE = (3, 10, 32)


def rnn_drop(rate: Any, scale: Any = "train") -> dict[str, Any]:
    """Return the site of an LSTM that is dropped, with its description.

    c[t] = m (f c[t - 1] + i g), where m is drawn once a sequence (Moon et al. 2015): a dropped unit remembers
    nothing from beginning to end.

    Args:
        rate: the probability that a unit of the cell state is dropped, in [0, 1].
        scale: where the factor 1 / (1 - rate) goes. Under "train" a kept cell grows by it at each step, by as
            much as the forget gate lets through; "none" leaves it out.

    Returns:
        the description over (batch, time, features) of "cell".

    >>> rnn_drop(0.2)["cell"].groups.pattern
    'b t d -> b d'
    """
    return {"cell": Drop(rate, "b t d -> b d", scale=scale)}


def _sketch(key: Key) -> Array:
    return mask(key, _SHAPE, rnn_drop(0.3)["cell"])


METHOD = Method(
    name="rnn_drop",
    title="rnnDrop",
    summary="Drops units of the cell state of an LSTM with one mask for all steps of a sequence.",
    formula="m ~ Bernoulli(1 - rate) / (1 - rate) for each (b, d), once a sequence; "
    "c[t] = m (f c[t - 1] + i g), h[t] = o tanh(c[t])",
    paper=Paper(
        title="RNNDROP: A novel dropout for RNNS in ASR",
        authors=("Moon, Taesup", "Choi, Heeyoul", "Lee, Hoshik", "Song, Inchul"),
        year=2015,
        venue="ASRU",
        url="https://www.stat.berkeley.edu/~tsmoon/files/Conference/asru2015.pdf",
        bibtex="""@inproceedings{moon2015rnndrop,
  title     = {{RNNDROP}: A novel dropout for {RNNS} in {ASR}},
  author    = {Moon, Taesup and Choi, Heeyoul and Lee, Hoshik and Song, Inchul},
  booktitle = {IEEE Workshop on Automatic Speech Recognition and Understanding (ASRU)},
  year      = {2015}
}""",
        checked="a page with the abstract for title and figures, a list of references of a later paper "
        "for the given names; public code "
        "that cites it (MoonLSTM in lstm_benchmarks) for the law, with the factor 1 / (1 - rate) at "
        "each step and one mask for the whole batch, where we draw one for each sequence; the paper itself "
        "could not be read",
    ),
    site="state",
    fields=("speech",),
    good_for="Deep bidirectional LSTMs as acoustic models, and others whose sequences are short.",
    bad_for="Long sequences under scale='train': the factor at each step lets open cells grow, exponentially "
    "as Semeniuta et al. 2016 say of states that are scaled in training (quoted in a public note). GRU and "
    "plain recurrent layers, which have no cell state. Speed: no fused kernel serves.",
    sketch=_sketch,
    variant_of="locked_dropout",
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.3},
        usage={
            "torch": "from dropkit.methods.rnn_drop import rnn_drop\n\n"
            "layer = DropLSTM(10, 20, batch_first=True, **rnn_drop(0.3))\n"
            "x = torch.randn(3, 10, 10)\n"
            "y, (h, c) = layer(x)"
        },
    ),
    evidence="The abstract reports a phoneme error rate of 16.29% on TIMIT, a word error rate of 5.53% on "
    "WSJ (dev93), and better regularization than weight noise.",
    aliases=("rnndrop", "moon_dropout"),
    layers={"torch": "DropLSTM"},
)
