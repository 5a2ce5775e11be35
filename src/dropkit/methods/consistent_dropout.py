"""Consistent dropout: in one Monte Carlo pass every point of a pool meets the same mask."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Array, Example, Method, Paper
from dropkit.core.reference import mask

__all__ = ["METHOD", "consistent_dropout"]

_SHAPE = (6, 32)


def consistent_dropout(rate: Any, channels: bool = False) -> Drop:
    """Return what one Monte Carlo pass drops: one coin for each entry of a point, shared by all points.

    The key is that of the pass: no draw depends on the place in the batch, so the batches of a pool may have
    any size, the last one too. Training draws for each point by itself (Kirsch et al. 2019).

    Args:
        rate: the probability that an entry is dropped, in [0, 1].
        channels: whether whole channels of `(batch, channels, ...)` are dropped.

    >>> from dropkit.core.reference import mask
    >>> pool, last = (mask(3, (size, 16), consistent_dropout(0.5)) for size in (5, 2))
    >>> bool((pool[:2] == last).all() and (pool == pool[0]).all())
    True
    """
    return Drop(rate, "b c ... -> c" if channels else "b ... -> ...")


def _sketch(key: Key) -> Array:
    return mask(key, _SHAPE, consistent_dropout(0.5))


METHOD = Method(
    name="consistent_dropout",
    title="Consistent MC dropout",
    summary="Uses one mask for a whole pool of points in a Monte Carlo pass, and another one in the next "
    "pass, so that predictions of different points belong to the same drawn model.",
    formula="pass k: kept_k[d] ~ Bernoulli(1 - rate) for each entry d of a point; "
    "y[b, d] = x[b, d] kept_k[d] / (1 - rate) for every point b of the pool",
    paper=Paper(
        title="BatchBALD: Efficient and Diverse Batch Acquisition for Deep Bayesian Active Learning",
        authors=("Kirsch, Andreas", "van Amersfoort, Joost", "Gal, Yarin"),
        year=2019,
        venue="NeurIPS",
        url="https://arxiv.org/abs/1906.08158",
        bibtex="""@inproceedings{kirsch2019batchbald,
  title     = {{BatchBALD}: Efficient and Diverse Batch Acquisition for Deep {Bayesian} Active Learning},
  author    = {Kirsch, Andreas and van Amersfoort, Joost and Gal, Yarin},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {32},
  year      = {2019}
}""",
        checked="the authors' README for the reference; copies of the authors' code (_ConsistentMCDropout) "
        "for the law: masks of shape (1, k, ...) in evaluation, one for each point in training",
    ),
    site="activation",
    fields=("vision", "text", "tabular"),
    good_for="Active learning and everything else that needs the joint distribution of several predictions, "
    "such as the mutual information of a batch of candidates.",
    bad_for="Uncertainty of single points, where independent masks do as well and average out sooner; "
    "training, which draws for each point by itself.",
    sketch=_sketch,
    variant_of="dropout",
    example=Example(
        shape=_SHAPE,
        axes="b d",
        arguments={"rate": 0.5},
        usage={
            "torch": "import dropkit\n"
            "from dropkit.torch import under_key\n\n"
            "layers = torch.nn.Linear(32, 8), ConsistentDropout(0.5), torch.nn.Linear(8, 2)\n"
            "model = torch.nn.Sequential(*layers).eval()\n"
            "pool, seed = torch.randn(10, 32).split(4), dropkit.Key(1)\n"
            "passes = []\n"
            "for i in range(5):\n"
            '    with dropkit.mode(model, "mc"), under_key(model, seed.fold("pass", i)):\n'
            "        passes.append(torch.cat([model(batch) for batch in pool]))"
        },
    ),
    evidence="Kirsch et al. 2019 (BatchBALD) estimate with it the joint mutual information of a batch of "
    "candidates, which independent masks cannot give; no figure of theirs was checked.",
    aliases=("consistent_mc_dropout", "batch_bald_dropout"),
    layers={"torch": "ConsistentDropout"},
)
