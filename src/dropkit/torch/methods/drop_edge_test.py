import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.methods.drop_edge import METHOD, fallen
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DropEdge, gcn_norm

EDGES = torch.tensor([[0, 1, 1, 2, 2, 0, 1, 2], [1, 0, 2, 1, 0, 2, 1, 3]])
WEIGHTS = torch.arange(8.0)
NONE = torch.zeros(2, 0, dtype=torch.int64)


def weighed(layer: DropEdge, x: torch.Tensor, key: Any, window: Any = None) -> torch.Tensor:
    """The edges of a path carry x; those that are dropped carry 0."""
    nodes = torch.arange(x.numel())
    path, own = torch.stack([nodes, nodes + 1]), torch.randint(2**60, ()) if key is None else key
    left = layer(path, x.reshape(-1), key=own)[1]
    return torch.zeros_like(x).masked_scatter(~layer.dropped(path, key=own).view(x.shape), left)


SUBJECTS = [
    layer_subject(
        DropEdge,
        "edges",
        weighed,
        Shapes((529,), ((66,),)),
        lambda rate, shape: Declared(rate, shape, (1,)),
        waived=METHOD.waived,
    )
]


def test_torch_drops_the_edges_that_the_law_drops() -> None:
    size = METHOD.example.shape[0]
    edges = torch.from_numpy(np.stack(np.divmod(np.arange(size**2), size)))
    gone = DropEdge(0.3, undirected=True).dropped(edges, key=7)
    assert np.array_equal(gone.reshape(size, size).numpy(), METHOD.picture(7) == 0)


def test_attributes_follow_and_none_stays_none() -> None:
    layer = DropEdge(0.5)
    edges, weights, numbers, nothing = layer(EDGES, WEIGHTS, torch.arange(16).view(8, 2), None, key=3)
    kept = ~layer.dropped(EDGES, key=3)
    assert torch.equal(edges, EDGES[:, kept])
    assert torch.equal(weights, WEIGHTS[kept])
    assert torch.equal(numbers[:, 0], torch.arange(0, 16, 2)[kept])
    assert nothing is None


def test_both_directions_share_their_coin_and_loops_are_kept_once() -> None:
    for key in range(20):
        (edges,) = DropEdge(0.5, undirected=True)(EDGES, key=key)
        left = [tuple(edge) for edge in edges.T.tolist()]
        assert all((b, a) in left for a, b in left if (a, b) != (2, 3))
        assert left.count((1, 1)) == 1
    assert DropEdge(1.0)(EDGES)[0].tolist() == [[1], [1]]
    assert DropEdge(1.0, keep_loops=False)(EDGES)[0].shape == (2, 0)


def test_torch_geometric_cuts_a_graph_by_the_same_mask() -> None:
    pytest.importorskip("torch_geometric", reason="an optional package")
    from torch_geometric.data import Data

    data = Data(x=torch.ones(5, 2), edge_index=EDGES, edge_attr=WEIGHTS)
    layer = DropEdge(0.5)
    left, (edges, weights) = layer.graph(data, key=3), layer(EDGES, WEIGHTS, key=3)
    assert torch.equal(left.edge_index, edges)
    assert torch.equal(left.edge_attr, weights)
    assert left.num_nodes == 5
    assert layer.eval().graph(data) is data


@pytest.mark.parametrize("edges", [NONE, EDGES, EDGES.int()])
@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_ends_of_the_rate_and_graphs_without_edges(edges: torch.Tensor, rate: float) -> None:
    left, weights = DropEdge(rate, keep_loops=False)(edges, torch.ones(edges.shape[1]))
    assert left.dtype == edges.dtype
    assert left.shape[1] == len(weights) == (0 if rate else edges.shape[1])


def test_evaluation_and_rate_0_return_the_very_objects() -> None:
    for layer in (DropEdge(0.5).eval(), DropEdge(0.0)):
        edges, weights = layer(EDGES, WEIGHTS)
        assert edges is EDGES
        assert weights is WEIGHTS
        assert not layer.dropped(EDGES).any()


def test_mode_mc_draws_in_evaluation() -> None:
    layer = DropEdge(1.0, keep_loops=False).eval()
    with dropkit.mode(layer, "mc"):
        assert layer(EDGES)[0].shape == (2, 0)
    assert layer(EDGES)[0] is EDGES


def test_what_is_left_is_normalised_anew_and_evaluation_normalises_all() -> None:
    layer = DropEdge(0.5, normalize=True)
    edges, weights = layer(EDGES, WEIGHTS + 1, num_nodes=6, key=5)
    left, own = DropEdge(0.5)(EDGES, WEIGHTS + 1, key=5)
    for mine, theirs in zip((edges, weights), gcn_norm(left, own, 6), strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(layer.eval()(EDGES)[1], gcn_norm(EDGES)[1])
    assert DropEdge(1.0, normalize=True)(EDGES)[0].shape == (2, 4), "node 3 stays although its edge falls"


def test_gradients_reach_the_weights_of_kept_edges_alone() -> None:
    weights = torch.ones(8, requires_grad=True)
    layer = DropEdge(0.5)
    (grad,) = torch.autograd.grad(layer(EDGES, weights, key=3)[1].sum(), weights)
    assert torch.equal(grad, (~layer.dropped(EDGES, key=3)).float())


def test_without_a_key_draws_follow_the_generator() -> None:
    torch.manual_seed(1)
    first = DropEdge(0.5)(EDGES, WEIGHTS)[1]
    torch.manual_seed(1)
    assert torch.equal(DropEdge(0.5)(EDGES, WEIGHTS)[1], first)


def test_a_copy_drops_alike() -> None:
    layer = DropEdge(0.5, undirected=True)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(EDGES, key=4)[0], layer(EDGES, key=4)[0])
        assert repr(twin) == repr(layer)


@pytest.mark.parametrize("rate", RATE.bad())
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        DropEdge(rate)


@pytest.mark.parametrize("name", ["undirected", "keep_loops", "normalize"])
def test_a_switch_is_true_or_false(name: str) -> None:
    with pytest.raises(DropkitError, match=f"{name} must be a bool"):
        DropEdge(0.5, **{name: 1})  # type: ignore[arg-type]  # that is the point


def test_what_does_not_fit_is_refused_in_evaluation_too() -> None:
    for layer in (DropEdge(0.5), DropEdge(0.5).eval()):
        with pytest.raises(DropkitError, match=r"edge_index has shape \(2, E\)"):
            layer(EDGES.T)
        with pytest.raises(DropkitError, match="edge attribute has a row for each of the 8 edges"):
            layer(EDGES, torch.ones(3))
    with pytest.raises(DropkitError, match="attributes are at most one where normalize=True"):
        DropEdge(0.5, normalize=True)(EDGES, WEIGHTS, WEIGHTS)


def test_a_compiled_call_drops_alike_and_afresh() -> None:
    layer = DropEdge(0.5, undirected=True)
    compiled: Any = torch.compile(layer, backend="aot_eager")
    assert torch.equal(compiled(EDGES, num_nodes=4, key=3)[0], layer(EDGES, num_nodes=4, key=3)[0])
    torch.manual_seed(0)
    assert len({compiled(EDGES, num_nodes=4)[0].shape for _ in range(20)}) > 1


def test_the_law_is_written_once() -> None:
    coins = torch.tensor([True, False] * 4)
    for undirected in (True, False):
        mine = fallen(coins, EDGES[0], EDGES[1], undirected, True, torch)
        begin, end = EDGES.numpy()
        assert np.array_equal(mine, fallen(coins.numpy(), begin, end, undirected, True, np))
