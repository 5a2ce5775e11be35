"""DropEdge: edges of a graph are left out at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.graph import first_of_pair
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "fallen"]

_NODES, _RATE = 12, 0.3


def fallen(coins: Any, source: Any, target: Any, undirected: bool, keep_loops: bool, xp: Any) -> Any:
    """Return which edges fall, given which coins fell: one coin for each place in the edge list.

    Args:
        coins: bool (E,), true with the rate.
        source: node numbers (E,): where an edge begins.
        target: where it ends.
        undirected: whether both directions of an edge, and its copies, share the coin of the first of them.
        keep_loops: whether edges from a node to itself stay.
        xp: numpy or torch.

    >>> fallen(np.array([True, False]), np.array([0, 1]), np.array([1, 0]), True, True, np).tolist()
    [True, True]
    """
    if undirected:
        coins = coins[first_of_pair(source, target, xp)]
    return coins & (source != target) if keep_loops else coins


def _sketch(key: Key) -> Any:
    """The adjacency matrix of a complete graph with loops: what stays of it."""
    source, target = np.divmod(np.arange(_NODES**2), _NODES)
    coins = draws(key, source.shape).u < threshold(_RATE, np)
    gone = fallen(coins, source, target, undirected=True, keep_loops=True, xp=np)
    return np.where(gone, 0.0, 1.0).reshape(_NODES, _NODES)


METHOD = Method(
    name="drop_edge",
    title="DropEdge",
    summary="Leaves random edges of a graph out in each pass, so that a graph network sees another graph "
    "each time.",
    formula="kept ~ Bernoulli(1 - rate) for each edge (one coin for both directions of an undirected one); "
    "A' = A kept, then D'^(-1/2) (A' + I) D'^(-1/2) where the network normalises; nothing is scaled",
    paper=Paper(
        title="DropEdge: Towards Deep Graph Convolutional Networks on Node Classification",
        authors=("Rong, Yu", "Huang, Wenbing", "Xu, Tingyang", "Huang, Junzhou"),
        year=2020,
        venue="ICLR",
        url="https://arxiv.org/abs/1907.10903",
        bibtex="""@inproceedings{rong2020dropedge,
  title     = {DropEdge: Towards Deep Graph Convolutional Networks on Node Classification},
  author    = {Rong, Yu and Huang, Wenbing and Xu, Tingyang and Huang, Junzhou},
  booktitle = {International Conference on Learning Representations},
  year      = {2020},
  url       = {https://openreview.net/forum?id=Hkx1qkrKPr}
}""",
        checked="the authors' own code (src/sample.py) for the law: it keeps an exact share of the entries "
        "of the adjacency matrix, where a coin for each edge is tossed here, and normalises afterwards; "
        "their readme for the reference",
    ),
    site="edge",
    fields=("graphs",),
    good_for="Deep graph networks on small graphs that overfit or whose nodes all come to look alike. Give "
    "each layer a module of its own for the layer-wise form, and normalise after dropping.",
    bad_for="Graphs whose single edges decide, such as bonds of small molecules or trees; link prediction, "
    "unless the edges to be predicted are held apart; shallow networks that underfit.",
    evidence="The authors' repository reports accuracy on Cora, Citeseer and Pubmed with 2 to 64 layers: a "
    "GCN of 2 layers on Cora goes from 81.1 to 82.8, one of 8 layers from 69.5 to 75.8; of 64 layers it "
    "stays at 49.5, far below the shallow one.",
    sketch=_sketch,
    example=Example(
        shape=(_NODES, _NODES),
        axes="from to",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = DropEdge({rate}, undirected=True)\n"
            "edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "edge_weight = torch.rand(4)\n"
            "edge_index, edge_weight = layer(edge_index, edge_weight)"
        },
    ),
    aliases=("edge_dropout", "dropout_edge"),
    old_names={
        "dropout_adj": "torch_geometric's earlier function for it",
        "percent": "in the authors' code the share of edges that stay",
    },
    layers={"torch": "DropEdge"},
    waived={
        "mean": "src/sample.py of the authors: a kept edge keeps its weight, and the weights of what is "
        "left are normalised anew"
    },
)
