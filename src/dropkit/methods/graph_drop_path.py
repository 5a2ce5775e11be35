"""Graph drop path: edges along random walks from sampled nodes are left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.graph import first_of_pair
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "walked"]

_NODES, _RATE, _LENGTH = 12, 0.3, 3


def walked(source: Any, target: Any, roots: Any, u: Any, undirected: bool, xp: Any) -> Any:
    """Return which edges lie on walks, bool (E,).

    A walk at node v takes its next step along one of the edges that begin at v, each equally likely, and
    ends where there is none. Edges may be walked again.

    Args:
        source: node numbers (E,): where an edge begins.
        target: where it ends.
        roots: bool (N,): the nodes where walks begin.
        u: whole numbers below 2**32 (N, walks, steps): the draws of every step of every node's walks.
        undirected: whether an edge is walked with its reverse and its copies.
        xp: numpy or torch.

    >>> path, u = np.arange(4), np.zeros((5, 1, 2), dtype=np.int64)
    >>> walked(path, path + 1, np.array([True, False, False, False, False]), u, False, np).tolist()
    [True, True, False, False]
    """
    hit = source != source
    if not len(source):
        return hit
    order = xp.argsort(source, stable=True)
    nodes = xp.arange(len(roots) + 1, device=source.device)
    bounds = xp.searchsorted(source[order], nodes)
    at = 0 * u[..., 0] + nodes[:-1, None]
    alive = roots[:, None] & (at >= 0)
    for draw in (u[..., step] for step in range(u.shape[-1])):
        degree = bounds[at + 1] - bounds[at]
        alive = alive & (degree > 0)
        edge = order[(bounds[at] + (draw * degree >> 32)) * alive]
        hit[edge[alive]] = True
        at = xp.where(alive, target[edge], at)
    return _both_ways(hit, source, target, xp) if undirected else hit


def _both_ways(hit: Any, source: Any, target: Any, xp: Any) -> Any:
    first = first_of_pair(source, target, xp)
    whole = source != source
    whole[first[hit]] = True
    return whole[first]


def _sketch(key: Key) -> Any:
    """The adjacency matrix of a complete graph with loops: what stays of it."""
    source, target = np.divmod(np.arange(_NODES**2), _NODES)
    roots = draws(key, (_NODES,)).u < threshold(_RATE, np)
    u = draws(key.fold("walk"), (_NODES, 1, _LENGTH)).u
    gone = walked(source, target, roots, u, undirected=True, xp=np)
    return np.where(gone, 0.0, 1.0).reshape(_NODES, _NODES)


METHOD = Method(
    name="graph_drop_path",
    title="Path masking (MaskGAE)",
    summary="Leaves out the edges along random walks from sampled nodes, so that whole paths are missing "
    "and not scattered edges.",
    formula="root_i ~ Bernoulli(rate) for each node; from each root walks of a given number of steps, each "
    "along one of the edges that begin at the node, equally likely; every edge that is walked is left out; "
    "nothing is scaled",
    paper=Paper(
        title="What's Behind the Mask: Understanding Masked Graph Modeling for Graph Autoencoders",
        authors=(
            "Li, Jintang",
            "Wu, Ruofan",
            "Sun, Wangbin",
            "Chen, Liang",
            "Tian, Sheng",
            "Zhu, Liang",
            "Meng, Changhua",
            "Zheng, Zibin",
            "Wang, Weiqiang",
        ),
        year=2023,
        venue="KDD",
        url="https://arxiv.org/abs/2205.10053",
        bibtex="""@inproceedings{li2023whats,
  title     = {What's Behind the Mask: Understanding Masked Graph Modeling for Graph Autoencoders},
  author    = {Li, Jintang and Wu, Ruofan and Sun, Wangbin and Chen, Liang and Tian, Sheng and
               Zhu, Liang and Meng, Changhua and Zheng, Zibin and Wang, Weiqiang},
  booktitle = {ACM SIGKDD Conference on Knowledge Discovery and Data Mining},
  year      = {2023}
}""",
        checked="the authors' own code (maskgae/mask.py) for the law: its roots are an exact share of the "
        "nodes, where a coin for each node is tossed here; their readme and a list of publications for the "
        "reference",
    ),
    site="edge",
    fields=("graphs",),
    good_for="Graph autoencoders that predict what was left out: a missing path cannot be read off its "
    "neighbouring edges. The authors' code begins at 0.7 of the nodes, with one walk of 3 steps.",
    bad_for="Supervised networks, where dropping edges one by one is simpler; whoever needs a known share "
    "of edges to fall, since the rate is that of the roots.",
    evidence="Li et al. report better link prediction and node classification than other self-supervised "
    "methods with masked edges and paths; no number was read.",
    sketch=_sketch,
    example=Example(
        shape=(_NODES, _NODES),
        axes="from to",
        arguments={"rate": _RATE},
        usage={
            "torch": "layer = GraphDropPath({rate}, walk_length=3)\n"
            "edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "gone = layer.dropped(edge_index)\n"
            "seen, to_predict = edge_index[:, ~gone], edge_index[:, gone]"
        },
    ),
    aliases=("mask_path", "path_masking"),
    old_names={
        "dropout_path": "torch_geometric's function: its p is the share of edges whose first node becomes a "
        "root, so that nodes with many edges begin more walks",
        "DropPath": "elsewhere stochastic depth, which drops residual branches",
    },
    layers={"torch": "GraphDropPath"},
    waived={
        "rate": "maskgae/mask.py of the authors: the rate is that of the roots; how often an edge falls "
        "follows from the graph",
        "moments": "maskgae/mask.py of the authors: as for the rate",
        "mean": "maskgae/mask.py of the authors: what stays is left as it is",
        "independence": "maskgae/mask.py of the authors: the edges of a walk fall together",
    },
)
