"""Node dropping for torch: nodes leave with their edges, and the others keep or change their numbers."""

from __future__ import annotations

from typing import Any, NamedTuple, Unpack

import torch

from dropkit.core.check import check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.drop_node import incident, renumbered
from dropkit.torch import draws
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.graph import check_attribute, check_edges
from dropkit.torch.rated import Rated

__all__ = ["DropNode", "Left"]

Tensor = torch.Tensor


class Left(NamedTuple):
    """What is left of a graph: its features, edges, attributes of edges, and which nodes stayed."""

    x: Tensor
    edge_index: Tensor
    edge_attr: Tensor | None
    nodes: Tensor


class DropNode(Rated):
    """Nodes of a graph are left out in training, with every edge that touches them (You et al. 2020).

    kept_i ~ Bernoulli(1 - p); an edge (i, j) stays with kept_i kept_j; nothing is scaled. All nodes may fall.

    Args:
        p: the probability that a node is dropped, in [0, 1], or a schedule.
        relabel: whether the nodes that stay are numbered anew and the rows of the others cut out. Otherwise
            all nodes keep their numbers, and the features of those that are dropped become 0.

    Shape:
        x (N, ...), edge_index (2, E) and edge_attr (E, ...) become those of `Left`, with nodes (N,) bool.

    Raises:
        DropkitError: p lies outside [0, 1], or the tensors are no graph.

    >>> left = DropNode(0.5, relabel=True)(torch.eye(3), torch.tensor([[0, 1], [2, 0]]), key=1)
    >>> left.nodes, left.edge_index
    (tensor([ True, False,  True]), tensor([[0],
            [1]]))
    """

    def __init__(self, p: float | Schedule = 0.1, *, relabel: bool = False) -> None:
        super().__init__(p)
        self.relabel = check_kind("relabel", relabel, bool, "write True or False")

    def dropped(self, nodes: int, like: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return which of so many nodes a call under the same key drops, bool, on the device of `like`."""
        if not (self.drawing and self.can_draw and nodes):
            return torch.zeros(nodes, dtype=torch.bool, device=like.device)
        return draws.below(like.new_empty(()).expand(nodes), self.p, **self.source(source))

    def forward(
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor | None = None, **source: Unpack[Source]
    ) -> Left:
        """Return what is left of a graph; in evaluation the very tensors.

        Args:
            x: features of the nodes (N, ...).
            edge_index: whole numbers (2, E): from where, to where.
            edge_attr: attributes of the edges (E, ...), or None.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the tensors are no graph.
        """
        check_kind("x", x, torch.Tensor, "give a tensor (N, ...)")
        if x.ndim == 0:
            raise TensorError("x", "has a row for each node", tuple(x.shape), "give a tensor (N, ...)")
        check_edges(edge_index, x.shape[0])
        check_attribute(edge_attr, edge_index, "edge_attr")
        gone = self.dropped(x.shape[0], edge_index, **source)
        if not (self.drawing and self.can_draw):
            return Left(x, edge_index, edge_attr, ~gone)
        stay = ~incident(gone, *edge_index)
        edges = edge_index[:, stay]
        attributes = None if edge_attr is None else edge_attr[stay]
        if self.relabel:
            return Left(x[~gone], renumbered(gone, torch)[edges].to(edges.dtype), attributes, ~gone)
        return Left(torch.where(gone.view(-1, *[1] * (x.ndim - 1)), 0, x), edges, attributes, ~gone)

    def graph(self, data: Any, **source: Unpack[Source]) -> Any:
        """Return what is left of a graph of torch_geometric, numbered anew; every attribute follows.

        Args:
            data: a `torch_geometric.data.Data`.
            **source: `key` and `generator` as in every layer.
        """
        gone = self.dropped(data.num_nodes, data.edge_index, **source)
        return data.subgraph(~gone) if self.drawing and self.can_draw else data

    def extra_repr(self) -> str:
        """Show the rate and whether nodes are numbered anew."""
        return f"p={self.p}, relabel={self.relabel}"
