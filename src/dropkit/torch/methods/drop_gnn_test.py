import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.methods.drop_gnn import METHOD, drop_gnn_rate
from dropkit.torch import DropGNN


class Gin(nn.Module):
    """A small graph network: two rounds of summing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(1, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        for layer in (self.first, self.second):
            x = layer(x + torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])).square()
        return x * scale


def cycles(*sizes: int) -> torch.Tensor:
    """Circles of these lengths, with both directions of every edge."""
    pairs, first = [], 0
    for size in sizes:
        pairs += [(first + i, first + (i + 1) % size) for i in range(size)]
        first += size
    return torch.tensor(pairs + [(b, a) for a, b in pairs]).T


@pytest.fixture
def gin() -> Gin:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Gin()


ONES = torch.ones(8, 1)


def test_torch_misses_the_nodes_that_the_law_misses(gin: Gin) -> None:
    gone = DropGNN(gin, 0.1, runs=12).missing(16, ONES, key=7)
    assert np.array_equal(~gone.numpy(), METHOD.picture(7) == 1)


@pytest.mark.parametrize("remove_edges", [False, True])
def test_the_result_is_the_mean_of_the_runs(gin: Gin, remove_edges: bool) -> None:
    layer, edges = DropGNN(gin, 0.4, runs=5, remove_edges=remove_edges), cycles(8)
    runs = layer.each(ONES, edges, key=3)
    for run, gone in zip(runs, layer.missing(8, ONES, key=3), strict=True):
        left = edges[:, ~(gone[edges[0]] | gone[edges[1]])] if remove_edges else edges
        torch.testing.assert_close(run, gin(ONES * ~gone[:, None], left))
    torch.testing.assert_close(layer(ONES, edges, key=3), runs.mean(0))


def test_it_tells_graphs_apart_that_message_passing_cannot(gin: Gin) -> None:
    one, two = cycles(8), cycles(4, 4)
    assert torch.equal(gin(ONES, one).sum(0), gin(ONES, two).sum(0))
    rate = drop_gnn_rate(7)

    def expected(edges: torch.Tensor) -> torch.Tensor:
        """The mean over every pattern of missing nodes: nothing is sampled."""
        total = torch.zeros(4)
        for pattern in itertools.product([0.0, 1.0], repeat=8):
            kept = torch.tensor(pattern)[:, None]
            chance = rate ** (8 - kept.sum()) * (1 - rate) ** kept.sum()
            total = total + chance * gin(kept, edges).sum(0)
        return total

    assert not torch.allclose(expected(one), expected(two), rtol=1e-3)


def test_nodes_are_missing_at_evaluation_too_unless_that_is_switched_off(gin: Gin) -> None:
    edges, whole = cycles(8), gin(ONES, cycles(8))
    layer = DropGNN(gin, 0.4).eval()
    assert not torch.equal(layer(ONES, edges, key=1), whole)
    assert torch.equal(layer(ONES, edges, key=1), layer.train()(ONES, edges, key=1))
    with dropkit.mode(layer.eval(), "eval"):
        assert torch.equal(layer(ONES, edges), whole)
    quiet = DropGNN(gin, 0.4, at_eval=False).eval()
    assert torch.equal(quiet(ONES, edges), whole)
    with dropkit.mode(quiet, "mc"):
        assert not torch.equal(quiet(ONES, edges, key=1), whole)


def test_at_rate_0_the_network_runs_once_and_at_rate_1_without_nodes(gin: Gin) -> None:
    edges = cycles(8)
    assert torch.equal(DropGNN(gin, 0.0)(ONES, edges), gin(ONES, edges))
    nothing = DropGNN(gin, 1.0, runs=2, remove_edges=True)(ONES * torch.inf, edges)
    torch.testing.assert_close(nothing, gin(ONES * 0, edges[:, :0]))


def test_weights_keep_their_names_and_further_arguments_arrive(gin: Gin) -> None:
    layer, edges = DropGNN(gin, 0.4, runs=2), cycles(8)
    assert set(layer.state_dict()) == {f"gnn.{name}" for name in gin.state_dict()}
    torch.testing.assert_close(layer(ONES, edges, 3.0, key=1), 3 * layer(ONES, edges, key=1))
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(ONES, edges, key=1), layer(ONES, edges, key=1))


def test_gradients_are_those_of_the_mean(gin: Gin) -> None:
    layer, edges = DropGNN(gin, 0.4, runs=3), cycles(8)
    got = torch.autograd.grad(layer(ONES, edges, key=2).sum(), tuple(gin.parameters()))
    runs = [gin(ONES * ~gone[:, None], edges).sum() for gone in layer.missing(8, ONES, key=2)]
    expected = torch.autograd.grad(torch.stack(runs).mean(), tuple(gin.parameters()))
    torch.testing.assert_close(got, expected)


def test_arguments_out_of_range_are_refused(gin: Gin) -> None:
    for rate in RATE.bad():
        with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
            DropGNN(gin, rate)  # type: ignore[arg-type]  # that is the point
    bad: dict[str, Any] = {"runs": 0, "remove_edges": 1, "at_eval": None}
    for name, value in bad.items():
        with pytest.raises(DropkitError, match=f"{name} must be"):
            DropGNN(gin, 0.1, **{name: value})
    with pytest.raises(DropkitError, match="gnn must be a Module"):
        DropGNN(gin.forward, 0.1)  # type: ignore[arg-type]  # that is the point


def test_what_is_no_graph_is_refused(gin: Gin) -> None:
    with pytest.raises(DropkitError, match="edge_index names nodes from 0 to 3"):
        DropGNN(gin)(torch.ones(4, 1), cycles(8))
    with pytest.raises(DropkitError, match="x has a row for each node"):
        DropGNN(gin)(torch.tensor(1.0), cycles(8))
