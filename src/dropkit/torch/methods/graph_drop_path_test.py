from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.methods.graph_drop_path import METHOD
from dropkit.torch import GraphDropPath

EDGES = torch.tensor([[0, 1, 1, 2, 3, 0, 4, 4], [1, 0, 2, 1, 0, 3, 4, 0]])
NONE = torch.zeros(2, 0, dtype=torch.int64)


def test_torch_drops_the_edges_that_the_law_drops() -> None:
    size = METHOD.example.shape[0]
    edges = torch.from_numpy(np.stack(np.divmod(np.arange(size**2), size)))
    gone = GraphDropPath(0.3, walk_length=3).dropped(edges, key=7)
    assert np.array_equal(gone.view(size, size).numpy(), METHOD.picture(7) == 0)


@pytest.mark.parametrize("key", range(8))
def test_what_falls_are_walks_from_roots(key: int) -> None:
    gone = GraphDropPath(0.3, 2, 2, undirected=False).dropped(EDGES, key=key)
    roots = dropkit.mask(key, (5,), dropkit.Drop(0.3)) == 0
    reach = roots.copy()
    for a, b in EDGES.T.tolist():
        reach[b] |= roots[a]
    assert all(reach[a] for a in EDGES[0, gone].tolist())
    begun = {a for a in EDGES[0, gone].tolist() if roots[a]}
    assert begun == {node for node in np.flatnonzero(roots).tolist() if node in EDGES[0].tolist()}


def test_attributes_follow_and_int32_edges_stay_int32() -> None:
    layer = GraphDropPath(0.4)
    edges, numbers = layer(EDGES.int(), torch.arange(8), key=4)
    gone = layer.dropped(EDGES, key=4)
    assert 0 < gone.sum() < 8
    assert torch.equal(edges, EDGES[:, ~gone].int())
    assert torch.equal(numbers, torch.arange(8)[~gone])


def test_at_rate_1_every_node_that_can_walk_loses_an_edge() -> None:
    gone = GraphDropPath(1.0, walk_length=1, undirected=False).dropped(EDGES)
    assert set(EDGES[0, gone].tolist()) == {0, 1, 2, 3, 4}


def test_graphs_without_edges_and_isolated_nodes_are_fine() -> None:
    assert GraphDropPath(1.0)(NONE)[0].shape == (2, 0)
    assert GraphDropPath(1.0)(NONE, num_nodes=3)[0].shape == (2, 0)
    assert GraphDropPath(1.0, walk_length=9)(torch.tensor([[0], [1]]), num_nodes=5)[0].shape == (2, 0)


def test_evaluation_and_rate_0_return_the_very_objects_and_mode_mc_draws() -> None:
    for layer in (GraphDropPath(0.5).eval(), GraphDropPath(0.0)):
        assert layer(EDGES)[0] is EDGES
    layer = GraphDropPath(1.0).eval()
    with dropkit.mode(layer, "mc"):
        assert layer(EDGES)[0].shape[1] < EDGES.shape[1]


def test_a_seed_repeats_the_walks() -> None:
    torch.manual_seed(3)
    first = GraphDropPath(0.5).dropped(EDGES)
    torch.manual_seed(3)
    assert torch.equal(GraphDropPath(0.5).dropped(EDGES), first)


def test_arguments_out_of_range_are_refused() -> None:
    for rate in RATE.bad():
        with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
            GraphDropPath(rate)  # type: ignore[arg-type]  # that is the point
    bad: dict[str, Any] = {"walks_per_node": 0, "walk_length": 0, "undirected": 1}
    for name, value in bad.items():
        with pytest.raises(DropkitError, match=f"{name} must be"):
            GraphDropPath(0.1, **{name: value})
    with pytest.raises(DropkitError, match="edge_index has type int64 or int32"):
        GraphDropPath(0.1)(EDGES.float())
