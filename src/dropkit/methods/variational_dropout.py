"""Variational dropout: Gaussian noise whose variance is learned, for each unit or for each weight."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.local import deviation
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import normal

__all__ = ["METHOD", "divergence", "factor"]

_C1, _C2, _C3 = 1.161451241083230, -1.502041176441722, 0.586299206427007


def factor(alpha: Any, z: Any) -> Any:
    """Return the factor of an entry, of mean 1 and variance alpha: 1 + sqrt(alpha) z.

    Args:
        alpha: the variance, in (0, 1]: p / (1 - p) for the rate p.
        z: standard normal draws.

    >>> factor(np.array([0.25, 1.0]), np.array([2.0, -1.0])).tolist()
    [2.0, 0.0]
    """
    return 1 + deviation(alpha) * z


def divergence(xp: Any, alpha: Any) -> Any:
    """Return the divergence of N(theta, alpha theta**2) from the log-uniform prior, less that at alpha = 1.

    -(log(alpha) / 2 + c1 alpha + c2 alpha**2 + c3 alpha**3) + c1 + c2 + c3: the approximation of Kingma et
    al. 2015, made for alpha in (0, 1] and up to a constant, taken so that no penalty is left at 1.

    >>> divergence(np, np.array([1.0])).tolist()
    [0.0]
    """
    return -0.5 * xp.log(alpha) - _cubic(alpha) + _cubic(1.0)


def _cubic(alpha: Any) -> Any:
    return alpha * (_C1 + alpha * (_C2 + alpha * _C3))


def _sketch(key: Key) -> Array:
    rates = np.linspace(0.01, 0.49, 32)
    return np.asarray(factor(rates / (1 - rates), normal(key, (16, 32))))


METHOD = Method(
    name="variational_dropout",
    title="Variational (Gaussian) dropout",
    summary="Multiplies units or weights by Gaussian noise whose variance is learned, under a penalty that "
    "asks for much of it.",
    formula="A: y = x (1 + sqrt(alpha) z) for each unit; B: y ~ N(W x + b, sum_i x_i^2 alpha W_ji^2) for "
    "each output; z standard normal, 0 < alpha <= 1; loss + sum(-(log(alpha) / 2 + c1 alpha + c2 alpha^2 + "
    "c3 alpha^3)) / N",
    paper=Paper(
        title="Variational Dropout and the Local Reparameterization Trick",
        authors=("Kingma, Diederik P.", "Salimans, Tim", "Welling, Max"),
        year=2015,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1506.02557",
        bibtex="""@inproceedings{kingma2015variational,
  title     = {Variational Dropout and the Local Reparameterization Trick},
  author    = {Kingma, Diederik P. and Salimans, Tim and Welling, Max},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {28},
  year      = {2015}
}""",
        checked="the proceedings' text for the reference; a replication (gngdb/variational-dropout) and "
        "several other public programs for the constants c1, c2, c3, for types A and B and for the limit of "
        "alpha by a sigmoid; not confirmed: that A counts one divergence a unit and B one a weight",
    ),
    site="activation",
    fields=("tabular", "vision"),
    good_for="Dense networks where each unit, or each weight, shall find its own noise, and where the "
    "uncertainty of weights is wanted. Start with units: weights take as many rates as there are weights.",
    bad_for="Sparsifying a network, for which alpha must grow beyond 1, where this approximation ends; "
    "proper Bayesian claims, see the evidence; weight decay on the same weights.",
    sketch=_sketch,
    evidence="For: Kingma et al. 2015 report that learned rates often give better models than fixed ones "
    "(abstract). Against: Hron et al. 2017 show that the log-uniform prior gives no proper posterior in "
    "general, and that correlated noise (A) has an infinite objective or risks overfitting (abstract of "
    "arXiv 1711.02989).",
    example=Example(
        shape=(16, 32),
        axes="b d",
        usage={
            "torch": "from dropkit.torch import VariationalLinear, penalty\n\n"
            "model = torch.nn.Sequential(\n"
            "    VariationalDropout(32, rows=1000),  # A: noise of units\n"
            "    VariationalLinear(torch.nn.Linear(32, 8), rows=1000),  # B: noise of weights\n"
            ")\n"
            "y = model(torch.randn(16, 32))\n"
            "loss = y.square().mean() + penalty(model)"
        },
    ),
    aliases=("variational_gaussian_dropout", "learned_gaussian_dropout"),
    old_names={
        "variational dropout": "in recurrent networks often one mask for all steps: see locked_dropout",
    },
    layers={"torch": "VariationalDropout"},
    waived={
        "edges": "gngdb/variational-dropout: the rate lies inside of (0, 1/2), the variance inside of (0, 1)",
    },
)
