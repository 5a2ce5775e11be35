"""Gating dropout: in some steps tokens ignore the router of a mixture and stay with the experts at hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "staying"]

_SHAPE, _RATE = (16, 12), 0.3


def staying(logits: Any, local: Any, stay: Any, xp: Any) -> Any:
    """Return the router's logits, with those of experts elsewhere at minus infinity where tokens stay.

    Args:
        logits: floating, experts along the last axis.
        local: bool, broadcasts to `logits`: which experts are at hand.
        stay: bool, broadcasts to `logits`: where tokens stay.
        xp: numpy or torch.

    >>> staying(np.array([1.0, 3.0, 2.0]), np.array([True, False, True]), True, np)
    array([  1., -inf,   2.])
    """
    return xp.where(~local & stay, -xp.inf, logits)


def _sketch(key: Key) -> Any:
    """Step by step the experts that a token of the first of three machines may reach."""
    kept = []
    local = np.arange(_SHAPE[1]) < 4
    for step in range(_SHAPE[0]):
        stay = draws(key.fold("step", step), ()).u < threshold(_RATE, np)
        kept.append(np.isfinite(staying(np.zeros(_SHAPE[1]), local, stay, np)))
    return np.where(np.stack(kept), 1.0, 0.0)


METHOD = Method(
    name="gating_dropout",
    title="Gating dropout",
    summary="Lets all tokens ignore the router of a mixture of experts in some steps and stay at their "
    "machine.",
    formula="stay ~ Bernoulli(rate) once for each step, the same on every machine; if stay, the router "
    "chooses among the experts at hand and nothing is sent, else among all; at evaluation among all",
    paper=Paper(
        title="Gating Dropout: Communication-efficient Regularization for Sparsely Activated Transformers",
        authors=("Liu, Rui", "Kim, Young Jin", "Muzio, Alexandre", "Hassan, Hany"),
        year=2022,
        venue="ICML",
        url="https://arxiv.org/abs/2205.14336",
        bibtex="""@inproceedings{liu2022gating,
  title     = {Gating Dropout: Communication-efficient Regularization for Sparsely Activated Transformers},
  author    = {Liu, Rui and Kim, Young Jin and Muzio, Alexandre and Hassan, Hany},
  booktitle = {Proceedings of the 39th International Conference on Machine Learning},
  pages     = {13782--13792},
  year      = {2022}
}""",
        checked="the abstract and a review that tells what happens with probability p, citing "
        "bibliographies for the reference; the paper's own text was not read",
    ),
    site="layer",
    fields=("text",),
    good_for="Mixtures of experts trained over several machines, where sending tokens to their experts "
    "takes a large part of a step: it saves that time and regularises the experts.",
    bad_for="Mixtures on one machine, which send nothing; machines that do not draw the same decision, "
    "which then wait for each other for ever; high rates, under which experts do not specialise.",
    evidence="Liu et al. report faster convergence in time and better BLEU in multilingual translation than "
    "the mixture without it; no number was read.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="step expert",
        arguments={"rate": _RATE},
        usage={
            "torch": "router, layer = torch.nn.Linear(8, 6), GatingDropout({rate})\n"
            "local = torch.arange(6) < 2  # the experts of this machine\n"
            "stay = layer.stays(key=11)  # the same key on every machine: skip the all-to-all if True\n"
            "logits = layer(router(torch.randn(4, 8)), local, stay)\n"
            "expert = logits.argmax(-1)"
        },
    ),
    aliases=("gate_drop",),
    layers={"torch": "GatingDropout"},
    waived={
        "rate": "Liu et al. 2022: what is dropped is the choice of experts elsewhere, with the rate of the "
        "step",
        "moments": "Liu et al. 2022: logits become minus infinity, not a factor times themselves",
        "mean": "Liu et al. 2022: as for the moments",
    },
)
