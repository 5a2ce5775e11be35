"""What methods for graphs share: edge lists (2, E) as torch_geometric has them, checked, cut and weighed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Unpack

import torch

from dropkit.core.check import DropkitError, Whole, check_kind
from dropkit.core.schedule import Schedule
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.rated import Rated
from dropkit.torch.run import widen

__all__ = ["EdgeDropout", "check_edges", "gcn_norm", "spread"]

Tensor = torch.Tensor
_NODES = Whole(0, "give the number of nodes, e.g. x.shape[0]")


class EdgeDropout(Rated, ABC):
    """A module that leaves edges of a graph out in training; what belongs to the others stays with them.

    Subclasses say in `fallen` which edges go. A call returns the edge list and the attributes it was given,
    cut alike; where nothing is drawn, the very objects it was given.
    """

    def __init__(self, p: float | Schedule) -> None:
        super().__init__(p)

    @abstractmethod
    def fallen(self, edge_index: Tensor, nodes: int, source: Source) -> Tensor:
        """Return which edges fall, bool (E,)."""

    def dropped(self, edge_index: Tensor, num_nodes: int | None = None, **source: Unpack[Source]) -> Tensor:
        """Return which edges a call under the same key drops, bool (E,); none where the module does not draw.

        Args:
            edge_index: whole numbers (2, E): from where, to where.
            num_nodes: the number of nodes; by default the highest number plus 1.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the edges are no such list, or name nodes that are not there.
        """
        nodes = check_edges(edge_index, num_nodes)
        if not (self.drawing and self.can_draw and edge_index.shape[1]):
            return torch.zeros(edge_index.shape[1], dtype=torch.bool, device=edge_index.device)
        return self.fallen(edge_index, nodes, self.source(source))

    def forward(
        self,
        edge_index: Tensor,
        *attributes: Tensor | None,
        num_nodes: int | None = None,
        **source: Unpack[Source],
    ) -> tuple[Tensor | None, ...]:
        """Return (edge_index, *attributes) without the edges that fall.

        Args:
            edge_index: whole numbers (2, E): from where, to where.
            *attributes: tensors (E, ...), e.g. weights of the edges; None stays None.
            num_nodes: the number of nodes; by default the highest number plus 1.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the edges are no such list, or an attribute has another length.
        """
        gone = self.dropped(edge_index, num_nodes, **source)
        for attribute in attributes:
            check_attribute(attribute, edge_index)
        if not (self.drawing and self.can_draw):
            return (edge_index, *attributes)
        return (edge_index[:, ~gone], *(None if a is None else a[~gone] for a in attributes))

    def graph(self, data: Any, **source: Unpack[Source]) -> Any:
        """Return a graph of torch_geometric without the edges that fall: every attribute of edges follows.

        Args:
            data: a `torch_geometric.data.Data`.
            **source: `key` and `generator` as in every layer.
        """
        gone = self.dropped(data.edge_index, data.num_nodes, **source)
        return data.edge_subgraph(~gone) if self.drawing and self.can_draw else data

    def extra_repr(self) -> str:
        """Show the rate."""
        return f"p={self.p}"


def check_edges(edge_index: Any, num_nodes: Any = None) -> int:
    """Return the number of nodes of an edge list (2, E), or refuse what is none.

    Raises:
        DropkitError: it is no tensor of whole numbers of that shape, or names a node that is not there.

    >>> check_edges(torch.tensor([[0, 2], [1, 0]]))
    3
    """
    mend = "give whole numbers (2, E): from where, to where"
    check_kind("edge_index", edge_index, torch.Tensor, mend)
    if edge_index.ndim != 2 or edge_index.shape[0] != 2:
        raise TensorError("edge_index", "has shape (2, E)", tuple(edge_index.shape), mend)
    if edge_index.dtype not in (torch.int64, torch.int32):
        raise TensorError("edge_index", "has type int64 or int32", edge_index.dtype, mend)
    if num_nodes is not None and torch.compiler.is_compiling():
        return int(num_nodes)
    low, high = (int(edge_index.min()), int(edge_index.max())) if edge_index.numel() else (0, -1)
    nodes = high + 1 if num_nodes is None else _NODES.check("num_nodes", num_nodes)
    if low < 0 or high >= nodes:
        rule = f"names nodes from 0 to {nodes - 1}" if nodes else "is empty where there are no nodes"
        raise DropkitError("edge_index", rule, low if low < 0 else high, "count nodes from 0")
    return nodes


def check_attribute(attribute: Any, edge_index: Tensor, name: str = "edge attribute") -> None:
    """Refuse what is no tensor with a row for each edge."""
    if attribute is None:
        return
    check_kind(name, attribute, torch.Tensor, "give a tensor (E, ...), or None")
    if attribute.ndim == 0 or attribute.shape[0] != edge_index.shape[1]:
        rule = f"has a row for each of the {edge_index.shape[1]} edges"
        raise TensorError(name, rule, tuple(attribute.shape), "give a tensor (E, ...), or None")


def gcn_norm(
    edge_index: Tensor, edge_weight: Tensor | None = None, num_nodes: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the edges and weights of D^(-1/2) (A + I) D^(-1/2), as Kipf and Welling 2017 normalise a graph.

    Every node without a loop gets one of weight 1, behind the other edges; D is the sum of the weights that
    come in. Apply it to what is left of a graph: then the weights that arrive at a node suit its new degree.

    Args:
        edge_index: whole numbers (2, E): from where, to where.
        edge_weight: (E,), floating; 1 for each edge by default.
        num_nodes: the number of nodes; by default the highest number plus 1.

    Raises:
        DropkitError: the edges are no such list, or the weights do not fit them.

    >>> edges, weights = gcn_norm(torch.tensor([[0, 1], [1, 0]]))
    >>> edges, weights
    (tensor([[0, 1, 0, 1], [1, 0, 0, 1]]), tensor([0.5000, 0.5000, 0.5000, 0.5000]))
    """
    nodes = check_edges(edge_index, num_nodes)
    check_attribute(edge_weight, edge_index, "edge_weight")
    weight = torch.ones(edge_index.shape[1], device=edge_index.device) if edge_weight is None else edge_weight
    looped = torch.zeros(nodes, dtype=torch.bool, device=edge_index.device)
    looped[edge_index[0][edge_index[0] == edge_index[1]]] = True
    (missing,) = torch.where(~looped)
    edges = torch.cat([edge_index, missing.to(edge_index.dtype).expand(2, -1)], 1)
    weight = torch.cat([widen(weight), torch.ones(len(missing), device=weight.device, dtype=weight.dtype)])
    degree = weight.new_zeros(nodes).index_add(0, edges[1], weight)
    inverse = torch.where(degree > 0, degree, 1).rsqrt() * (degree > 0)
    return edges, inverse[edges[0]] * weight * inverse[edges[1]]


def spread(x: Tensor, edge_index: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted sum over the edges that come in: row i of the result is sum_j w_ji x_j.

    >>> spread(torch.tensor([[1.0], [10.0]]), torch.tensor([[0, 1], [1, 1]]), torch.tensor([2.0, 3.0]))
    tensor([[ 0.],
            [32.]])
    """
    messages = x[edge_index[0]] * weight[:, None]
    return torch.zeros_like(x).index_add(0, edge_index[1], messages.to(x.dtype))
