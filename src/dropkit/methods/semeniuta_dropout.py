"""Recurrent dropout without memory loss: only what is about to be written into the memory is dropped."""

from __future__ import annotations

from typing import Any

from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "semeniuta_dropout", "update"]

_PATTERNS = {"step": "b t d -> b t d", "sequence": "b t d -> b d"}
_PER = OneOf(tuple(_PATTERNS))
_SHAPE = (3, 10, 10)


def semeniuta_dropout(rate: Any, per: str = "step") -> dict[str, Any]:
    """Return the site of a recurrent network that is dropped, with its description.

    Only the candidate g is hit: c[t] = f c[t - 1] + i drop(g) in an LSTM, h[t] = z h[t - 1] + (1 - z) drop(g)
    in a GRU, so that what is in memory stays there (Semeniuta et al. 2016).

    Args:
        rate: the probability that an entry of the candidate is dropped, in [0, 1].
        per: a fresh mask for each "step", or one for the "sequence".

    Returns:
        the description over (batch, time, features) of "candidate".

    >>> semeniuta_dropout(0.2)["candidate"].groups.pattern
    'b t d -> b t d'
    """
    return {"candidate": Drop(rate, _PATTERNS[_PER.check("per", per)])}


def update(previous: Any, keep: Any, write: Any, candidate: Any) -> Any:
    """Return the new memory of a gated cell: keep previous + write candidate.

    What is dropped from `candidate` does not touch what `keep` lets stay.

    Args:
        previous: the memory of the step before.
        keep: the gate that lets it stay, in (0, 1): f of an LSTM, z of a GRU as torch writes it.
        write: the gate that lets the candidate in: i of an LSTM, 1 - z of a GRU.
        candidate: what is to be written, with dropped entries at 0.

    >>> update(2.0, 0.5, 0.25, 0.0)
    1.0
    """
    return keep * previous + write * candidate


def _sketch(key: Key) -> Array:
    return mask(key, _SHAPE, semeniuta_dropout(0.3)["candidate"])


METHOD = Method(
    name="semeniuta_dropout",
    title="Recurrent dropout without memory loss",
    summary="Drops the candidate that a gated recurrent cell is about to write, and never what it remembers.",
    formula="d ~ Bernoulli(1 - rate) / (1 - rate), fresh each step; LSTM: c[t] = f c[t - 1] + i (d g); "
    "GRU: h[t] = z h[t - 1] + (1 - z) (d g)",
    paper=Paper(
        title="Recurrent Dropout without Memory Loss",
        authors=("Semeniuta, Stanislau", "Severyn, Aliaksei", "Barth, Erhardt"),
        year=2016,
        venue="arXiv",
        url="https://arxiv.org/abs/1603.05118",
        bibtex="""@article{semeniuta2016recurrent,
  title   = {Recurrent Dropout without Memory Loss},
  author  = {Semeniuta, Stanislau and Severyn, Aliaksei and Barth, Erhardt},
  journal = {arXiv preprint arXiv:1603.05118},
  year    = {2016}
}""",
        checked="arXiv's abstract for the reference; public code that cites it (lstm_benchmarks for the "
        "LSTM, copies of GRU-D for the GRU) for the law, with the factor 1 / (1 - rate) in training; the "
        "paper's equations were not read again",
    ),
    site="state",
    fields=("text", "speech"),
    good_for="LSTM and GRU layers that must remember for long: fresh masks at each step are safe, since the "
    "memory itself is never dropped. It goes well with dropout of the inputs.",
    bad_for="Plain recurrent layers, which have no candidate; speed: no fused kernel serves.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.3},
        usage={
            "torch": "from dropkit.methods.semeniuta_dropout import semeniuta_dropout\n\n"
            "layer = DropLSTM(10, 20, batch_first=True, **semeniuta_dropout(0.3))\n"
            "x = torch.randn(3, 10, 10)\n"
            "y, (h, c) = layer(x)"
        },
    ),
    evidence="The abstract reports consistent improvements on language benchmarks, also together with "
    "dropout of the feed-forward connections.",
    aliases=("recurrent_dropout_without_memory_loss", "memory_safe_dropout"),
    layers={"torch": "DropLSTM"},
    waived={
        "mean": "c[t] = f c[t - 1] + i (d g): what comes out is no multiple of what goes in, only the "
        "candidate keeps its mean",
        "gradient": "the factor acts inside the recurrence, not between input and output",
    },
)
