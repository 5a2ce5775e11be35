"""DropGNN for torch: a wrapper that runs a graph network several times, each time without other nodes."""

from __future__ import annotations

from typing import Any, Unpack

import torch
from torch import nn

from dropkit.core.check import Whole, check_kind
from dropkit.core.schedule import Schedule
from dropkit.methods.drop_node import incident
from dropkit.torch import draws
from dropkit.torch.check import TensorError
from dropkit.torch.functional import Source
from dropkit.torch.graph import check_edges
from dropkit.torch.rated import Rated

__all__ = ["DropGNN"]

Tensor = torch.Tensor
_RUNS = Whole(1, "give the number of runs, e.g. 16")


class DropGNN(Rated):
    """The mean of several runs of a graph network, each with other nodes missing (Papp et al. 2021).

    h = mean over runs r of gnn(x kept_r, edges), kept_ri ~ Bernoulli(1 - p) for each run and node. What is
    missing at evaluation is what the network learned to see, so nodes fall there too: give a key for results
    that repeat, or `at_eval=False` for one run with every node. `dropkit.mode(model, "eval")` does so too.

    Args:
        gnn: a module that is called as gnn(x, edge_index, *others); it keeps its weights under the name gnn.
        p: the probability that a node is missing in a run, in [0, 1], or a schedule; see
            `dropkit.methods.drop_gnn.drop_gnn_rate`.
        runs: the number of runs, at least 1.
        remove_edges: whether the edges of missing nodes go too, as in the paper's text; otherwise a missing
            node has features of 0 and keeps its edges, as in the authors' code.
        at_eval: whether nodes fall at evaluation too.

    Raises:
        DropkitError: an argument is out of its range.

    >>> class Sum(nn.Module):
    ...     def forward(self, x, edge_index):
    ...         return torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
    >>> DropGNN(Sum(), 0.5, runs=4)(torch.ones(2, 1), torch.tensor([[0, 1], [1, 0]]), key=1)
    tensor([[0.5000],
            [0.5000]])
    """

    def __init__(
        self,
        gnn: nn.Module,
        p: float | Schedule = 0.1,
        runs: int = 16,
        *,
        remove_edges: bool = False,
        at_eval: bool = True,
    ) -> None:
        super().__init__()
        self.gnn = check_kind("gnn", gnn, nn.Module, "wrap the graph network itself")
        self.take_rate(p)
        self.runs = _RUNS.check("runs", runs)
        self.remove_edges = check_kind("remove_edges", remove_edges, bool, "write True or False")
        self.at_eval = check_kind("at_eval", at_eval, bool, "write True or False")

    @property
    def drawing(self) -> bool:
        """Whether the next call draws: at evaluation too, unless that is switched off."""
        return super().drawing or (self.at_eval and self.forced_mode is None)

    @property
    def acts_in_eval(self) -> bool:
        """Whether evaluation changes the input."""
        return True

    def forward(self, x: Tensor, edge_index: Tensor, *others: Any, **source: Unpack[Source]) -> Tensor:
        """Return the mean of the runs; arguments as in `each`."""
        if not (self.drawing and self.can_draw):
            whole: Tensor = self.gnn(x, edge_index, *others)
            return whole
        return self.each(x, edge_index, *others, **source).mean(0)

    def each(self, x: Tensor, edge_index: Tensor, *others: Any, **source: Unpack[Source]) -> Tensor:
        """Return every run (runs, ...), for a loss on each as the authors' code has it.

        Args:
            x: features of the nodes (N, ...).
            edge_index: whole numbers (2, E): from where, to where.
            *others: further arguments of the network, the same in every run. With `remove_edges` there can
                be none for each edge: they would no longer fit.
            **source: `key` and `generator` as in every layer.

        Raises:
            DropkitError: the tensors are no graph.
        """
        check_kind("x", x, torch.Tensor, "give a tensor (N, ...)")
        if x.ndim == 0:
            raise TensorError("x", "has a row for each node", tuple(x.shape), "give a tensor (N, ...)")
        check_edges(edge_index, x.shape[0])
        gone = self.missing(x.shape[0], x, **source)
        return torch.stack([self._run(x, edge_index, run, others) for run in gone])

    def missing(self, nodes: int, like: Tensor, **source: Unpack[Source]) -> Tensor:
        """Return which nodes are missing in each run of a call under the same key, bool (runs, nodes)."""
        shape = (self.runs, nodes)
        if not (self.drawing and self.can_draw and nodes):
            return torch.zeros(shape, dtype=torch.bool, device=like.device)
        return draws.below(like.new_empty(()).expand(shape), self.p, **self.source(source))

    def _run(self, x: Tensor, edge_index: Tensor, gone: Tensor, others: tuple[Any, ...]) -> Tensor:
        left = torch.where(gone.view(-1, *[1] * (x.ndim - 1)), 0, x)
        edges = edge_index[:, ~incident(gone, *edge_index)] if self.remove_edges else edge_index
        y: Tensor = self.gnn(left, edges, *others)
        return y

    def extra_repr(self) -> str:
        """Show the rate and the runs."""
        return f"p={self.p}, runs={self.runs}, remove_edges={self.remove_edges}, at_eval={self.at_eval}"
