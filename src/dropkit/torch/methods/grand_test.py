import math
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.core.reference import mask
from dropkit.methods.grand import METHOD, disagreement, drop_rows, mixed_order, sharpen
from dropkit.testing import Declared, Shapes, Subject, layer_subject
from dropkit.torch import RandomPropagation, gcn_norm, grand_consistency

EDGES = torch.tensor([[0, 1, 1, 2, 3, 0], [1, 0, 2, 1, 0, 3]])
X = torch.arange(1.0, 16.0).view(5, 3)
NONE = torch.zeros(2, 0, dtype=torch.int64)


def one_view(layer: RandomPropagation, x: torch.Tensor, key: Any, window: Any = None) -> torch.Tensor:
    """A graph without edges and hops: what the coins do to the features."""
    rows = x.reshape(len(x), math.prod(x.shape[1:])) if x.ndim else x.view(1, 1)
    y: torch.Tensor = layer(rows, NONE, key=key)[0].view(x.shape)
    return y


def subject(scale: Any, **waived: str) -> Subject:
    return layer_subject(
        lambda rate: RandomPropagation(rate, order=0, samples=1, scale=scale),
        f"rows, scaled in {scale}",
        one_view,
        Shapes((529, 2), ((66, 4),)),
        lambda rate, shape: Declared.of(drop_rows(rate, scale), shape),
        waived=waived,
    )


SUBJECTS = [subject("train"), subject("eval", mean="the factor 1 - rate comes at evaluation")]


def matrix(edges: torch.Tensor, nodes: int) -> np.ndarray:
    edges, weights = gcn_norm(edges, None, nodes)
    return torch.zeros(nodes, nodes).index_put((edges[1], edges[0]), weights, accumulate=True).numpy()


def test_torch_equals_the_law_view_by_view() -> None:
    a = matrix(EDGES, 5)
    views = RandomPropagation(0.4, order=3, samples=2)(X, EDGES, key=7)
    for i, view in enumerate(views):
        kept = mask(Key(7).fold("view", i), (5, 3), drop_rows(0.4))
        assert view.numpy() == pytest.approx(mixed_order(X.numpy() * kept, lambda x: a @ x, 3), rel=1e-5)
    assert not torch.equal(*views)


def test_evaluation_spreads_everything_in_one_view() -> None:
    layer = RandomPropagation(0.4, order=2, samples=3).eval()
    (view,) = layer(X, EDGES)
    a = matrix(EDGES, 5)
    assert view.numpy() == pytest.approx(mixed_order(X.numpy(), lambda x: a @ x, 2), rel=1e-5)
    with dropkit.mode(layer, "mc"):
        assert layer(X, EDGES).shape == (3, 5, 3)


def test_weights_are_taken_as_they_are_where_nothing_is_normalised() -> None:
    layer = RandomPropagation(0.0, order=1, samples=1, normalize=False)
    assert torch.equal(layer(X, torch.tensor([[4], [0]]), torch.tensor([2.0]))[0, 0], X[0] / 2 + X[4])
    assert torch.equal(layer(X, torch.tensor([[4], [0]]))[0, 0], (X[0] + X[4]) / 2)


def test_the_ends_of_the_rate_and_empty_graphs() -> None:
    assert torch.equal(RandomPropagation(1.0)(X * torch.inf, EDGES), torch.zeros(4, 5, 3))
    views = RandomPropagation(0.0, samples=2)(X, EDGES)
    assert torch.equal(views[0], views[1])
    assert RandomPropagation(0.5)(torch.zeros(0, 3), NONE).shape == (4, 0, 3)
    assert torch.equal(RandomPropagation(0.0, samples=1)(X, NONE)[0], X)


def test_gradients_pass_through_the_edges() -> None:
    x = X.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: RandomPropagation(0.4, order=2)(x, EDGES, key=3), x)


def test_a_compiled_call_draws_alike() -> None:
    layer = RandomPropagation(0.4, order=2)
    compiled: Any = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(X, EDGES, key=3), layer(X, EDGES, key=3))


def test_half_precision_stays_half() -> None:
    assert RandomPropagation(0.5)(X.half(), EDGES).dtype == torch.float16


def test_one_key_for_the_model_gives_each_view_its_own_nodes() -> None:
    layer = RandomPropagation(0.5, samples=2)
    model = torch.nn.ModuleList([layer])
    with dropkit.torch.under_key(model, 5):
        first, again = layer(X, EDGES), layer(X, EDGES)
    assert torch.equal(first, again)
    assert not torch.equal(first[0], first[1])


def test_the_loss_is_the_papers_and_the_centre_has_no_gradient() -> None:
    logits = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    logits.requires_grad_()
    loss = grand_consistency(logits, 0.4)
    p = logits.detach().softmax(-1).numpy()
    centre = sharpen(p.mean(0), 0.4)
    assert loss.item() == pytest.approx(disagreement(p, centre), rel=1e-12)
    (grad,) = torch.autograd.grad(loss, logits)
    fixed = disagreement(logits.softmax(-1), torch.from_numpy(centre))
    torch.testing.assert_close(grad, torch.autograd.grad(fixed, logits)[0])


def test_views_learn_to_agree_on_what_most_of_them_say() -> None:
    logits = torch.tensor([[[2.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.5]]], requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(200):
        (logits.grad,) = torch.autograd.grad(grand_consistency(logits, 0.5), logits)
        optimizer.step()
    assert (logits.softmax(-1)[..., 0] > 0.9).all()


@pytest.mark.parametrize("rate", RATE.bad())
def test_a_rate_out_of_range_is_refused(rate: Any) -> None:
    with pytest.raises(DropkitError, match=r"p must be a number in \[0, 1\]"):
        RandomPropagation(rate)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": -1}, "order must be a whole number of at least 0"),
        ({"samples": 0}, "samples must be a whole number of at least 1"),
        ({"normalize": 1}, "normalize must be a bool"),
        ({"scale": "test"}, "scale must be one of"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        RandomPropagation(0.5, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[0], EDGES), r"x has shape \(N, d\)"),
        ((X.long(), EDGES), "x has a real floating type"),
        ((X[:2], EDGES), "edge_index names nodes from 0 to 1, got 3"),
        ((X, EDGES, torch.ones(2)), "edge_weight has a row for each of the 6 edges"),
    ],
)
def test_what_is_no_graph_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        RandomPropagation(0.5)(*arguments)


def test_logits_and_temperature_are_checked() -> None:
    with pytest.raises(DropkitError, match=r"logits has shape \(views, nodes, classes\)"):
        grand_consistency(torch.zeros(3, 4))
    with pytest.raises(DropkitError, match=r"temperature must be a number in \(0, inf\)"):
        grand_consistency(torch.zeros(1, 3, 4), 0)


def test_the_picture_is_the_mask_of_the_rows() -> None:
    key = Key(7).fold("views")
    assert np.array_equal(METHOD.picture(7), mask(key, METHOD.example.shape, drop_rows(0.5)))


def test_the_defaults_are_those_of_the_authors_code() -> None:
    layer = RandomPropagation()
    assert (layer.p, layer.order, layer.samples) == (0.5, 5, 4)


def test_no_node_means_no_disagreement() -> None:
    for shape in ((2, 0, 3), (0, 2, 3)):
        logits = torch.zeros(shape, requires_grad=True)
        loss = grand_consistency(logits)
        loss.backward()  # type: ignore[no-untyped-call]  # backward is untyped
        assert loss.item() == 0
