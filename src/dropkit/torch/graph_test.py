from typing import Any

import pytest
import torch

from dropkit import DropkitError
from dropkit.torch.graph import check_edges, gcn_norm, spread

EDGES = torch.tensor([[0, 1, 1, 2, 3, 1], [1, 0, 2, 1, 3, 2]])
WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 3.0, 4.0, 0.25])


def dense(edges: torch.Tensor, weights: torch.Tensor, nodes: int) -> torch.Tensor:
    return torch.zeros(nodes, nodes).index_put((edges[1], edges[0]), weights, accumulate=True)


def test_the_norm_is_that_of_the_dense_matrix() -> None:
    edges, weights = gcn_norm(EDGES, WEIGHTS, 5)
    whole = dense(EDGES, WEIGHTS, 5) + torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.0, 1.0]))
    root = torch.diag(whole.sum(1).rsqrt())
    torch.testing.assert_close(dense(edges, weights, 5), root @ whole @ root)


def test_the_norm_is_that_of_torch_geometric() -> None:
    pytest.importorskip("torch_geometric", reason="an optional package")
    from torch_geometric.nn.conv.gcn_conv import gcn_norm as theirs

    edges, weights = gcn_norm(EDGES, WEIGHTS, 5)
    their_edges, their_weights = theirs(EDGES, WEIGHTS, 5)
    torch.testing.assert_close(dense(edges, weights, 5), dense(their_edges, their_weights, 5))


@pytest.mark.parametrize("nodes", [0, 3])
def test_without_edges_every_node_has_its_loop(nodes: int) -> None:
    edges, weights = gcn_norm(torch.zeros(2, 0, dtype=torch.int64), None, nodes)
    assert edges.tolist() == [list(range(nodes))] * 2
    assert weights.tolist() == [1.0] * nodes


def test_a_node_of_weight_nothing_gets_nothing() -> None:
    _, weights = gcn_norm(torch.tensor([[0], [0]]), torch.tensor([0.0]))
    assert weights.tolist() == [0.0]


def test_weights_get_their_gradient_and_half_precision_is_widened() -> None:
    weights = WEIGHTS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda weight: gcn_norm(EDGES, weight)[1], weights)
    assert gcn_norm(EDGES, WEIGHTS.half())[1].dtype == torch.float32


def test_messages_are_summed_where_they_come_in() -> None:
    x = torch.randn(4, 3)
    torch.testing.assert_close(spread(x, EDGES, WEIGHTS), dense(EDGES, WEIGHTS, 4) @ x)


@pytest.mark.parametrize(
    ("edges", "nodes", "message"),
    [
        ([[0, 1], [1, 0]], None, "edge_index must be a Tensor"),
        (torch.zeros(3, 4, dtype=torch.int64), None, r"edge_index has shape \(2, E\), got \(3, 4\)"),
        (torch.zeros(2, dtype=torch.int64), None, r"edge_index has shape \(2, E\), got \(2,\)"),
        (torch.zeros(2, 4), None, "edge_index has type int64 or int32, got torch.float32"),
        (torch.tensor([[0], [-1]]), None, "edge_index names nodes from 0 to 0, got -1"),
        (torch.tensor([[0], [3]]), 3, "edge_index names nodes from 0 to 2, got 3"),
        (torch.tensor([[0], [0]]), 0, "edge_index is empty where there are no nodes, got 0"),
        (torch.tensor([[0], [0]]), 1.5, "num_nodes must be a whole number of at least 0"),
    ],
)
def test_what_is_no_edge_list_is_refused(edges: Any, nodes: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        check_edges(edges, nodes)


@pytest.mark.parametrize("weight", [[1.0], torch.ones(5), torch.tensor(1.0)])
def test_weights_of_another_length_are_refused(weight: Any) -> None:
    with pytest.raises(DropkitError, match="edge_weight"):
        gcn_norm(EDGES, weight)
