import copy
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.methods.drop_node import METHOD
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DropNode

EDGES = torch.tensor([[0, 1, 1, 2, 3, 4, 2], [1, 0, 2, 1, 3, 0, 1]])
X, ATTRIBUTES = torch.arange(1.0, 19.0).view(6, 3), torch.arange(7.0)
NONE = torch.zeros(2, 0, dtype=torch.int64)


def rows(layer: DropNode, x: torch.Tensor, key: Any, window: Any = None) -> torch.Tensor:
    """A graph without edges: what happens to its features."""
    y: torch.Tensor = layer(x.view(x.shape or (1,)), NONE.to(x.device), key=key).x.view(x.shape)
    return y


SUBJECTS = [
    layer_subject(
        DropNode,
        "features of nodes",
        rows,
        Shapes((529, 2), ((66, 4),)),
        lambda rate, shape: Declared(rate, shape, (1, *[0] * (len(shape) - 1))),
        waived=METHOD.waived,
    )
]


def test_torch_drops_the_nodes_that_the_law_drops() -> None:
    size = METHOD.example.shape[0]
    gone = DropNode(0.2).dropped(size, X, key=7)
    assert np.array_equal(~gone.numpy(), np.diag(METHOD.picture(7)))


@pytest.mark.parametrize("relabel", [False, True])
@pytest.mark.parametrize("key", range(6))
def test_the_subgraph_is_that_of_torch_geometric(relabel: bool, key: int) -> None:
    pytest.importorskip("torch_geometric", reason="an optional package")
    from torch_geometric.utils import subgraph

    left = DropNode(0.4, relabel=relabel)(X, EDGES, ATTRIBUTES, key=key)
    edges, attributes = subgraph(left.nodes, EDGES, ATTRIBUTES, relabel_nodes=relabel, num_nodes=6)
    assert torch.equal(left.edge_index, edges)
    assert torch.equal(left.edge_attr, attributes)
    assert torch.equal(left.x, X[left.nodes] if relabel else X * left.nodes[:, None])


def test_a_graph_of_torch_geometric_loses_the_same_nodes() -> None:
    pytest.importorskip("torch_geometric", reason="an optional package")
    from torch_geometric.data import Data

    layer = DropNode(0.4, relabel=True)
    left, mine = layer.graph(Data(x=X, edge_index=EDGES), key=2), layer(X, EDGES, key=2)
    assert torch.equal(left.x, mine.x)
    assert torch.equal(left.edge_index, mine.edge_index)


@pytest.mark.parametrize("edges", [NONE, EDGES.int()])
@pytest.mark.parametrize("relabel", [False, True])
def test_at_rate_1_nothing_is_left(edges: torch.Tensor, relabel: bool) -> None:
    left = DropNode(1.0, relabel=relabel)(torch.full((6, 3), torch.nan), edges)
    assert left.edge_index.shape == (2, 0)
    assert left.edge_index.dtype == edges.dtype
    assert not left.nodes.any()
    assert left.x.shape == (0, 3) if relabel else torch.equal(left.x, torch.zeros(6, 3))


def test_an_empty_graph_stays_empty() -> None:
    left = DropNode(0.5, relabel=True)(torch.zeros(0, 3), NONE)
    assert left.x.shape == (0, 3)


def test_evaluation_and_rate_0_return_the_very_tensors_and_mode_mc_draws() -> None:
    for layer in (DropNode(1.0).eval(), DropNode(0.0)):
        left = layer(X, EDGES, ATTRIBUTES)
        assert left.x is X
        assert left.edge_index is EDGES
        assert left.edge_attr is ATTRIBUTES
        assert left.nodes.all()
    layer = DropNode(1.0).eval()
    with dropkit.mode(layer, "mc"):
        assert not layer(X, EDGES).nodes.any()


def test_gradients_reach_the_kept_nodes_alone() -> None:
    x = X.clone().requires_grad_()
    left = copy.deepcopy(DropNode(0.4))(x, EDGES, key=3)
    (grad,) = torch.autograd.grad(left.x.sum(), x)
    assert torch.equal(grad, left.nodes[:, None].expand(6, 3).float())


@pytest.mark.parametrize("rate", RATE.bad())
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        DropNode(rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], EDGES), "x must be a Tensor"),
        ((torch.tensor(1.0), EDGES), "x has a row for each node"),
        ((X[:3], EDGES), "edge_index names nodes from 0 to 2, got 4"),
        ((X, EDGES.float()), "edge_index has type int64 or int32"),
        ((X, EDGES, torch.ones(3)), "edge_attr has a row for each of the 7 edges"),
    ],
)
def test_what_is_no_graph_is_refused_in_evaluation_too(arguments: Any, message: str) -> None:
    for layer in (DropNode(0.5), DropNode(0.5).eval()):
        with pytest.raises(DropkitError, match=message):
            layer(*arguments)
    with pytest.raises(DropkitError, match="relabel must be a bool"):
        DropNode(0.5, relabel="yes")  # type: ignore[arg-type]  # that is the point
