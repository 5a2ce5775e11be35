"""Node dropping: nodes of a graph are left out at random, with all their edges."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "incident", "renumbered"]

_NODES, _RATE = 12, 0.2


def incident(gone: Any, source: Any, target: Any) -> Any:
    """Return which edges go with the nodes that are gone: those that begin or end at one.

    Args:
        gone: bool (N,), true where a node is dropped.
        source: node numbers (E,): where an edge begins.
        target: where it ends.

    >>> incident(np.array([False, True, False]), np.array([0, 1, 2]), np.array([2, 0, 1])).tolist()
    [False, True, True]
    """
    return gone[source] | gone[target]


def renumbered(gone: Any, xp: Any) -> Any:
    """Return the new number of each node once those that are gone have left; theirs mean nothing.

    >>> renumbered(np.array([False, True, False]), np).tolist()
    [0, 0, 1]
    """
    return xp.cumsum(~gone, 0) - 1


def _sketch(key: Key) -> Any:
    """The adjacency matrix of a complete graph with loops: what stays of it."""
    gone = draws(key, (_NODES,)).u < threshold(_RATE, np)
    source, target = np.divmod(np.arange(_NODES**2), _NODES)
    return np.where(incident(gone, source, target), 0.0, 1.0).reshape(_NODES, _NODES)


METHOD = Method(
    name="drop_node",
    title="Node dropping",
    summary="Leaves random nodes of a graph out, with every edge that touches them.",
    formula="kept_i ~ Bernoulli(1 - rate) for each node; edge (i, j) stays with kept_i kept_j, row i of the "
    "features with kept_i; nothing is scaled",
    paper=Paper(
        title="Graph Contrastive Learning with Augmentations",
        authors=(
            "You, Yuning",
            "Chen, Tianlong",
            "Sui, Yongduo",
            "Chen, Ting",
            "Wang, Zhangyang",
            "Shen, Yang",
        ),
        year=2020,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2010.13902",
        bibtex="""@inproceedings{you2020graph,
  title     = {Graph Contrastive Learning with Augmentations},
  author    = {You, Yuning and Chen, Tianlong and Sui, Yongduo and Chen, Ting and Wang, Zhangyang and
               Shen, Yang},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {33},
  year      = {2020}
}""",
        checked="public copies of the authors' drop_nodes for the law (it takes an exact tenth of the "
        "nodes, where a coin for each node is tossed here), citing lists for the reference",
    ),
    site="node",
    fields=("graphs",),
    good_for="Views of a graph for contrastive learning, and regularisation where a prediction must not "
    "hang on single nodes. Keep the numbering for node classification; renumber for graph classification.",
    bad_for="Small graphs, molecules above all, whose meaning changes with one atom; node classification of "
    "the very nodes that are dropped; high rates, since an edge stays with (1 - rate)^2 alone.",
    evidence="You et al. 2020 study it as one of four augmentations of graphs for contrastive learning. Do "
    "et al. 2020 (arXiv 2008.12578) propose it as a regulariser of graph networks and report better node "
    "and graph classification on eight data sets; no number was read.",
    sketch=_sketch,
    example=Example(
        shape=(_NODES, _NODES),
        axes="from to",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = DropNode({rate})\n"
            "x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "left = layer(x, edge_index)\n"
            "x, edge_index = left.x, left.edge_index"
        },
    ),
    aliases=("dropnode", "node_dropout", "dropout_node"),
    old_names={"DropNode of GRAND": "rows of features are dropped and every edge stays: see grand"},
    layers={"torch": "DropNode"},
    waived={"mean": "You et al. 2020, table 1: what stays of the graph is left as it is"},
)
