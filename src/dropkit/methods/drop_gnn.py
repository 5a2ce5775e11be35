"""DropGNN: a graph network runs several times, each time without other nodes, and the runs are averaged."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import Whole
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["METHOD", "drop_gnn_rate"]

_SHAPE, _RATE = (12, 16), 0.1
_NEIGHBOURS = Whole(0, "give the number of other nodes that a node sees, e.g. 16")


def drop_gnn_rate(neighbours: int) -> float:
    """Return 1 / (1 + neighbours): the rate at which one node alone is missing most often.

    That a given node of a neighbourhood falls and no other of its 1 + neighbours nodes does happens with
    probability rate (1 - rate)^neighbours, which is largest there. The authors' code takes once or twice
    this rate, with the mean number of nodes of a graph, and as many runs.

    Args:
        neighbours: the number of nodes within reach of a node, without itself, at least 0.

    Raises:
        DropkitError: it is no such number.

    >>> drop_gnn_rate(19)
    0.05
    """
    return 1 / (1 + _NEIGHBOURS.check("neighbours", neighbours))


def _sketch(key: Key) -> Any:
    """Run by run the nodes that stay."""
    return np.where(draws(key, _SHAPE).u < threshold(_RATE, np), 0.0, 1.0)


METHOD = Method(
    name="drop_gnn",
    title="DropGNN",
    summary="Runs a graph network several times, each time with other nodes missing, and averages the runs, "
    "at evaluation too.",
    formula="kept_ri ~ Bernoulli(1 - rate) for each run r and node i; h = mean over r of gnn(x kept_r), in "
    "training and at evaluation; nothing is scaled",
    paper=Paper(
        title="DropGNN: Random Dropouts Increase the Expressiveness of Graph Neural Networks",
        authors=(
            "Papp, Pál András",
            "Martinkus, Karolis",
            "Faber, Lukas",
            "Wattenhofer, Roger",
        ),
        year=2021,
        venue="NeurIPS",
        url="https://arxiv.org/abs/2111.06283",
        bibtex="""@inproceedings{papp2021dropgnn,
  title     = {DropGNN: Random Dropouts Increase the Expressiveness of Graph Neural Networks},
  author    = {Papp, P{\\'a}l Andr{\\'a}s and Martinkus, Karolis and Faber, Lukas and Wattenhofer, Roger},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021}
}""",
        checked="the paper's introduction, and the authors' own code (gin-graph_classification.py), which "
        "sets the features of missing nodes to 0 and leaves their edges; their readme for the reference",
    ),
    site="node",
    fields=("graphs",),
    good_for="Graphs that message passing cannot tell apart, such as cycles of different lengths with equal "
    "degrees: a missing node makes the difference visible. It changes what a network can express, and "
    "regularises little.",
    bad_for="Large graphs and tight budgets: every pass costs as many passes as there are runs. Predictions "
    "that must repeat exactly, unless a key is given.",
    evidence="Papp et al. prove that it separates neighbourhoods that message passing cannot; 90.4 % "
    "accuracy on MUTAG and 75.7 % on IMDB-B are listed for their DropGIN on Papers with Code, which was not "
    "traced to the paper's table.",
    sketch=_sketch,
    variant_of="feature_mask",
    example=Example(
        shape=_SHAPE,
        axes="run node",
        arguments={"rate": _RATE},
        usage={
            "torch": "class Sum(torch.nn.Module):\n"
            "    def forward(self, x, edge_index):\n"
            "        return torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])\n\n\n"
            "model = DropGNN(Sum(), {rate}, runs=16)\n"
            "x, edge_index = torch.randn(3, 8), torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])\n"
            "y = model(x, edge_index)"
        },
    ),
    aliases=("dropgnn", "drop_gin"),
    around="gnn",
    layers={"torch": "DropGNN"},
    waived={
        "mean": "Papp et al. 2021: what stays is not scaled, and the network of a mean is not the mean of "
        "networks",
        "eval": "Papp et al. 2021, section 1: nodes are removed in training and at test time",
    },
)
