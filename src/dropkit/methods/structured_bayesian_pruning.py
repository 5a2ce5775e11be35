"""Structured Bayesian pruning: units carry log-normal noise of a learned size; the noisiest are pruned."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import unit

__all__ = ["HIGH", "LOW", "METHOD", "Special", "divergence", "mean", "sample", "signal_to_noise"]

LOW, HIGH = -20.0, 0.0
"""Between which the logarithm of the noise lies, as in the authors' code."""

_TINY = 1e-30


class Special(NamedTuple):
    """The functions of the normal distribution: `scipy.special` or `torch.special`, and the module itself.

    Args:
        xp: numpy or torch.
        log_ndtr: the logarithm of its distribution function, exact far out too.
        ndtri: the inverse of that function.
    """

    xp: Any
    log_ndtr: Any
    ndtri: Any


def sample(mu: Any, sigma: Any, u: Any, special: Special) -> Any:
    """Return noise exp(l) with l ~ N(mu, sigma^2) cut to [LOW, HIGH], by inversion.

    l = mu + sigma Phi^-1(Phi(a) + u (Phi(b) - Phi(a))), a = (LOW - mu) / sigma, b = (HIGH - mu) / sigma
    (Neklyudov et al. 2017).

    Args:
        mu: the location of the logarithm.
        sigma: its scale, above 0.
        u: uniform draws in (0, 1).
        special: the functions to compute with.
    """
    xp = special.xp
    below, above = (xp.exp(special.log_ndtr((edge - mu) / sigma)) for edge in (LOW, HIGH))
    # Far outside the cut no share is left to be drawn from; the ends then say where the noise lies.
    share = xp.clip(below + u * (above - below), 1e-300, 1 - 1e-15)
    return xp.exp(xp.clip(mu + sigma * special.ndtri(share), LOW, HIGH))


def mean(mu: Any, sigma: Any, special: Special) -> Any:
    """Return the mean of the noise.

    E theta = exp(mu + sigma^2 / 2) (Phi(b - sigma) - Phi(a - sigma)) / (Phi(b) - Phi(a)).
    """
    return special.xp.exp(_log_moment(1, mu, sigma, special))


def signal_to_noise(mu: Any, sigma: Any, special: Special) -> Any:
    """Return the mean of the noise over its deviation; a unit below 1 is pruned.

    Both moments are taken as logarithms, so that nothing is lost where the deviation is small.
    """
    xp = special.xp
    spread = xp.expm1(_log_moment(2, mu, sigma, special) - 2 * _log_moment(1, mu, sigma, special))
    return 1 / xp.sqrt(xp.clip(spread, _TINY, None))


def divergence(mu: Any, sigma: Any, special: Special) -> Any:
    """Return the divergence of the noise of each unit from the log-uniform prior on [LOW, HIGH].

    KL = log(HIGH - LOW) - log(sigma Z) - log(2 pi e) / 2 - (a phi(a) - b phi(b)) / (2 Z),
    Z = Phi(b) - Phi(a).
    """
    xp = special.xp
    a, b = (LOW - mu) / sigma, (HIGH - mu) / sigma
    log_mass = _log_mass(a, b, special)
    edges = sum(
        sign * x * xp.exp(-0.5 * x * x - 0.5 * math.log(2 * math.pi) - log_mass)
        for sign, x in ((1, a), (-1, b))
    )
    constant = math.log(HIGH - LOW) - 0.5 * math.log(2 * math.pi * math.e)
    return constant - xp.log(sigma) - log_mass - 0.5 * edges


def _log_moment(k: int, mu: Any, sigma: Any, special: Special) -> Any:
    """The logarithm of E exp(k l): completing the square moves the ends of the cut by k sigma."""
    a, b = (LOW - mu) / sigma, (HIGH - mu) / sigma
    moved = _log_mass(a - k * sigma, b - k * sigma, special)
    return k * mu + k * k * sigma * sigma / 2 + moved - _log_mass(a, b, special)


def _log_mass(a: Any, b: Any, special: Special) -> Any:
    """The logarithm of Phi(b) - Phi(a), on the side where both are small."""
    xp = special.xp
    flip = a > 0
    low, high = xp.where(flip, -b, a), xp.where(flip, -a, b)
    log_low, log_high = special.log_ndtr(low), special.log_ndtr(high)
    return log_high + xp.log1p(-xp.exp(xp.clip(log_low - log_high, None, -1e-15)))


def _sketch(key: Key) -> np.ndarray[Any, Any]:
    normal = NormalDist()
    cdf, ndtri = np.vectorize(normal.cdf), np.vectorize(normal.inv_cdf)
    special = Special(np, lambda x: np.log(np.maximum(cdf(x), 1e-300)), ndtri)
    mu, sigma = np.linspace(-3, 0, 32), np.linspace(3, 0.2, 32)
    noise = sample(mu, sigma, unit(key, (16, 32), "b d -> b d"), special)
    return np.where(signal_to_noise(mu, sigma, special) < 1, 0.0, noise)


METHOD = Method(
    name="structured_bayesian_pruning",
    title="Structured Bayesian pruning",
    summary="Multiplies each unit by log-normal noise whose place and size it learns; units whose noise "
    "outweighs their signal are pruned.",
    formula="log theta ~ N(mu, sigma^2) cut to [-20, 0], y = theta x; loss + weight KL / rows with KL "
    "against the log-uniform prior on [-20, 0]; evaluation: E theta x where E theta / sqrt(Var theta) >= 1, "
    "else 0",
    paper=Paper(
        title="Structured Bayesian Pruning via Log-Normal Multiplicative Noise",
        authors=("Neklyudov, Kirill", "Molchanov, Dmitry", "Ashukha, Arsenii", "Vetrov, Dmitry"),
        year=2017,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1705.07283",
        bibtex="""@inproceedings{neklyudov2017structured,
  title     = {Structured Bayesian Pruning via Log-Normal Multiplicative Noise},
  author    = {Neklyudov, Kirill and Molchanov, Dmitry and Ashukha, Arsenii and Vetrov, Dmitry},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {30},
  year      = {2017},
  url       = {https://arxiv.org/abs/1705.07283}
}""",
        checked="copies of the abstract for the reference; the authors' own code (group-sparsity-sbp, "
        "nets/layers.py) for law, divergence, limits and start, scripts/vgglike for where it stands: on the "
        "output of a convolution before its bias is added, then a batch normalisation with "
        "is_training=False; its README for the figures",
    ),
    site="activation",
    fields=("vision", "tabular"),
    good_for="Networks that shall become faster: whole units or channels go, and what is left is a smaller "
    "dense network. It begins well from a trained network.",
    bad_for="Layers whose scale is taken back at once, such as those before a normalisation, which hides how "
    "much a unit is wanted, unless its statistics are frozen, as in the authors' VGG; data so few that the "
    "divergence prunes everything.",
    sketch=_sketch,
    example=Example(
        shape=(16, 32),
        axes="b d",
        usage={
            "torch": "layer = StructuredBayesianPruning(32, rows=1000)\n"
            "y = layer(torch.randn(16, 32))\n"
            "loss = y.square().mean() + layer.penalty()"
        },
    ),
    evidence="The abstract reports structured sparsity and significant acceleration on several "
    "architectures (Neklyudov et al. 2017). The authors' README has LeNet5 on MNIST 5.41 times as fast on a "
    "CPU and 1.91 times on a GPU, with 10.49 times fewer operations, at 0.86 % error instead of 0.80 %.",
    aliases=("sbp", "truncated_log_normal_dropout"),
    layers={"torch": "StructuredBayesianPruning"},
    waived={
        "rate": "the authors' code (nets/layers.py): the noise of a unit is learned, nothing falls at a "
        "declared rate",
        "moments": "as for rate: place and size of the noise are learned, unit by unit",
        "mean": "as for rate: the noise is at most 1, and its mean is below",
        "eval": "as for rate: evaluation multiplies by the mean of the noise, by 0 where a unit is pruned",
    },
)
