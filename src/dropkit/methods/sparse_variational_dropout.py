"""Sparse variational dropout: each weight learns its own noise, and weights that are all noise are pruned."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "THRESHOLD", "divergence", "log_ratio"]

THRESHOLD = 3.0
"""Where weights are pruned: log alpha > 3, a dropout rate of alpha / (1 + alpha) > 0.95."""

_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
_TINY, _LIMIT = 1e-16, 8.0


def log_ratio(log_variance: Any, weight: Any, xp: Any = np) -> Any:
    """Return log alpha = log sigma^2 - log w^2 of each weight, between -8 and 8 as in the authors' code.

    Pruning and divergence read it. The noise that is drawn has the variance sigma^2 itself, not clipped,
    where the authors' code draws with exp(log alpha) w^2.

    alpha = rate / (1 - rate) is the variance of the factor on a weight: its rate in Gaussian dropout.

    >>> float(log_ratio(0.0, np.array(1.0)))
    0.0
    """
    return xp.clip(log_variance - xp.log(weight * weight + _TINY), -_LIMIT, _LIMIT)


def divergence(log_alpha: Any, xp: Any = np) -> Any:
    """Return the divergence of the posterior of each weight from the log-uniform prior, up to a constant.

    KL = k1 - k1 sigmoid(k2 + k3 log alpha) + log(1 + 1 / alpha) / 2 with k1 = 0.63576, k2 = 1.87320 and
    k3 = 1.48695 (Molchanov et al. 2017): 0 for a weight that is all noise.

    >>> float(divergence(np.array(8.0)).round(4))
    0.0002
    """
    sigmoid = 1 / (1 + xp.exp(-(_K2 + _K3 * log_alpha)))
    return _K1 - _K1 * sigmoid + 0.5 * xp.log1p(xp.exp(-log_alpha))


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    shape = (16, 32)
    weight = mask(key.fold("weight"), shape, Drop(0.5, noise="gaussian")) - 1
    log_alpha = log_ratio(np.full(shape, -0.5), weight)
    factor = 1 + np.exp(log_alpha / 2) * (mask(key, shape, Drop(0.5, noise="gaussian")) - 1)
    return np.where(log_alpha > THRESHOLD, 0.0, factor)


METHOD = Method(
    name="sparse_variational_dropout",
    title="Sparse variational dropout",
    summary="Gives each weight a Gaussian noise whose size it learns; weights whose noise outgrows them are "
    "pruned.",
    formula="w ~ N(theta, sigma^2), drawn as y = x theta + sqrt(x^2 sigma^2) eps; loss + weight KL / rows, "
    "KL = sum of k1 - k1 sigmoid(k2 + k3 log alpha) + log(1 + 1 / alpha) / 2, log alpha = log sigma^2 - "
    "log theta^2; evaluation: theta where log alpha <= 3, else 0",
    paper=Paper(
        title="Variational Dropout Sparsifies Deep Neural Networks",
        authors=("Molchanov, Dmitry", "Ashukha, Arsenii", "Vetrov, Dmitry"),
        year=2017,
        venue="ICML",
        url="https://arxiv.org/abs/1701.05369",
        bibtex="""@inproceedings{molchanov2017variational,
  title     = {Variational Dropout Sparsifies Deep Neural Networks},
  author    = {Molchanov, Dmitry and Ashukha, Arsenii and Vetrov, Dmitry},
  booktitle = {Proceedings of the 34th International Conference on Machine Learning},
  volume    = {70},
  year      = {2017},
  url       = {https://arxiv.org/abs/1701.05369}
}""",
        checked="the abstract for the reference; the authors' own code (nets/layers.py) for law, start and "
        "threshold, but for two things left out here: its noise has the clipped log alpha, and its LeNet "
        "scripts prune in training too (train_clip=True); nets/optpolicy.py for the weight of the "
        "divergence; several citing codes for k1, k2 and k3, and an integration of the divergence for how "
        "well they fit",
    ),
    site="weight",
    fields=("vision", "tabular", "text"),
    good_for="Networks that shall become sparse weight by weight while they train, or trained ones that are "
    "trained on: it tells by itself how many weights are needed. Raise the weight of the divergence from 0 "
    "slowly: in the authors' scripts it is 0 before epoch 5, then grows linearly to 1 at epoch 20.",
    bad_for="Speed on common hardware, for the zeros lie anywhere; training that starts with the full "
    "divergence, which may prune everything; twice the parameters and two products a layer.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="o i",
        usage={
            "torch": "layer = SparseVariationalDropout(torch.nn.Linear(32, 16), rows=1000)\n"
            "optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3)\n"
            "x, target, warm_up = torch.randn(8, 32), torch.randn(8, 16), 10\n"
            "for step in range(20):\n"
            "    weight = min(1.0, step / warm_up)  # the whole penalty at once can prune all\n"
            "    loss = (layer(x) - target).square().mean() + weight * layer.penalty()\n"
            "    optimizer.zero_grad()\n"
            "    loss.backward()\n"
            "    optimizer.step()"
        },
    ),
    evidence="The abstract reports up to 280 times fewer parameters on LeNet and up to 68 times on VGG-like "
    "networks with a negligible loss of accuracy (Molchanov et al. 2017).",
    aliases=("sparse_vd", "variational_dropout_ard"),
    around="module",
    layers={"torch": "SparseVariationalDropout"},
    waived={
        "rate": "Molchanov et al. 2017: the noise of a weight is learned, nothing falls at a declared rate",
        "moments": "as for rate: the variance is learned, weight by weight",
        "groups": "the authors' code (nets/layers.py): outputs are drawn, each from its own normal law",
        "gradient": "as for groups: the output is a sum over noisy weights, no factor on an input",
        "eval": "as for rate: evaluation leaves out the weights whose log alpha exceeds 3",
    },
)
