"""Path masking for torch: the edges along random walks are left out."""

from __future__ import annotations

import torch

from dropkit.core.check import Whole, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.graph_drop_path import walked
from dropkit.torch import draws
from dropkit.torch.functional import Source
from dropkit.torch.graph import EdgeDropout

__all__ = ["GraphDropPath"]

Tensor = torch.Tensor
_WALKS = Whole(1, "give the number of walks from each root, e.g. 1")
_LENGTH = Whole(1, "give the number of steps of a walk, e.g. 3")


class GraphDropPath(EdgeDropout):
    """The edges along random walks from sampled nodes are left out in training (Li et al. 2023, MaskGAE).

    Each node is a root with probability p; from a root go walks of so many steps, each step along one of the
    edges that begin at the node, equally likely; a walk ends early where none does. What share of the edges
    falls follows from the graph. `dropped(edge_index, key=...)` says which they are, for a decoder that
    predicts them.

    Args:
        p: the probability that walks begin at a node, in [0, 1], or a schedule.
        walks_per_node: the number of walks from each root, at least 1.
        walk_length: the number of steps of a walk, at least 1.
        undirected: whether the reverse of an edge that is walked falls too.

    Shape:
        edge_index (2, E) and attributes (E, ...) become (2, E') and (E', ...).

    Raises:
        DropkitError: an argument is out of its range, or the edges are no such list.

    >>> path = torch.tensor([[0, 1, 2], [1, 2, 3]])
    >>> GraphDropPath(1.0, walk_length=1)(path)
    (tensor([], size=(2, 0), dtype=torch.int64),)
    """

    def __init__(
        self,
        p: float | Schedule = 0.3,
        walks_per_node: int = 1,
        walk_length: int = 3,
        *,
        undirected: bool = True,
    ) -> None:
        super().__init__(p)
        self.walks_per_node = _WALKS.check("walks_per_node", walks_per_node)
        self.walk_length = _LENGTH.check("walk_length", walk_length)
        self.undirected = check_kind("undirected", undirected, bool, "write True or False")

    def fallen(self, edge_index: Tensor, nodes: int, source: Source) -> Tensor:
        """Return which edges fall: every node draws its walks, and those of the roots count."""
        like = edge_index.new_empty(()).expand(nodes)
        roots = draws.below(like, self.p, **source.copy())
        shape = (nodes, self.walks_per_node, self.walk_length)
        u = draws.words(like, shape, **draws.fold("walk", source))
        begin, end = edge_index.long()
        gone: Tensor = walked(begin, end, roots, u, self.undirected, torch)
        return gone

    def extra_repr(self) -> str:
        """Show the rate and the walks."""
        return (
            f"{super().extra_repr()}, walks_per_node={self.walks_per_node}, walk_length={self.walk_length}, "
            f"undirected={self.undirected}"
        )
