"""DropEdge for torch: a module for edge lists, with both directions of an edge on one coin."""

from __future__ import annotations

from typing import Unpack

import torch

from dropkit.core.check import DropkitError, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.drop_edge import fallen
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.graph import EdgeDropout, gcn_norm

__all__ = ["DropEdge"]

Tensor = torch.Tensor


class DropEdge(EdgeDropout):
    """Edges of a graph are left out in training, each by a coin of its own (Rong et al. 2020).

    kept ~ Bernoulli(1 - p) for each edge; nothing is scaled. A coin belongs to a place in the edge list, so
    the same list under the same key loses the same edges. One module that several layers share drops once if
    it is called once; a module for each layer is the layer-wise form of the paper.

    Args:
        p: the probability that an edge is dropped, in [0, 1], or a schedule.
        undirected: whether both directions of an edge, and copies of it, share a coin. An edge whose reverse
            is missing is dropped alone, and no edge is added.
        keep_loops: whether edges from a node to itself stay. In the paper a network adds them afterwards.
        normalize: whether to return `gcn_norm` of what is left, in evaluation too, as the paper does after
            dropping; then there is one attribute, the weights. `graph(data)` cuts and does not normalise.

    Shape:
        edge_index (2, E) and attributes (E, ...) become (2, E') and (E', ...).

    Raises:
        DropkitError: p lies outside [0, 1], or the edges are no such list.

    >>> edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    >>> DropEdge(0.5, undirected=True)(edges, torch.arange(4), key=5)
    (tensor([[1, 2],
            [2, 1]]), tensor([2, 3]))
    """

    def __init__(
        self,
        p: float | Schedule = 0.5,
        *,
        undirected: bool = False,
        keep_loops: bool = True,
        normalize: bool = False,
    ) -> None:
        super().__init__(p)
        self.undirected = check_kind("undirected", undirected, bool, "write True or False")
        self.keep_loops = check_kind("keep_loops", keep_loops, bool, "write True or False")
        self.normalize = check_kind("normalize", normalize, bool, "write True or False")

    def fallen(self, edge_index: Tensor, nodes: int, source: Source) -> Tensor:
        """Return which edges fall."""
        coins = draws.below(edge_index[0], self.p, **source)
        begin, end = edge_index
        gone: Tensor = fallen(coins, begin, end, self.undirected, self.keep_loops, torch)
        return gone

    def forward(
        self,
        edge_index: Tensor,
        *attributes: Tensor | None,
        num_nodes: int | None = None,
        **source: Unpack[Source],
    ) -> tuple[Tensor | None, ...]:
        """Return (edge_index, *attributes) without the edges that fall, or edges and weights, normalised.

        Args:
            edge_index: whole numbers (2, E): from where, to where.
            *attributes: tensors (E, ...), e.g. weights of the edges; None stays None.
            num_nodes: the number of nodes; by default the highest number plus 1.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the edges are no such list, or an attribute has another length.
        """
        if self.normalize and num_nodes is None and edge_index.numel():
            num_nodes = int(edge_index.max()) + 1  # before the last edge of the last node may fall
        edges, *others = super().forward(edge_index, *attributes, num_nodes=num_nodes, **source)
        if not self.normalize:
            return (edges, *others)
        if len(others) > 1:
            mend = "give the weights alone, or normalize=False"
            raise DropkitError("attributes", "are at most one where normalize=True", len(others), mend)
        assert edges is not None
        return gcn_norm(edges, others[0] if others else None, num_nodes)

    def extra_repr(self) -> str:
        """Show the rate and what is not the default."""
        return (
            f"{super().extra_repr()}, undirected={self.undirected}, keep_loops={self.keep_loops}, "
            f"normalize={self.normalize}"
        )
