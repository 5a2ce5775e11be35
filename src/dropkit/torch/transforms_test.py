"""Dropout under function transforms, in graphs and under modes that record: as without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, linearize, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx

import dropkit
import dropkit.torch as dt
from dropkit.torch import functional, fused

Tensor = torch.Tensor
Function = Callable[[Tensor], Tensor]
GAUSSIAN = dropkit.Drop(0.3, noise="gaussian")
DROPS: list[Function] = [
    lambda x: functional.dropout(x, 0.5, key=3),
    lambda x: functional.alpha_dropout(x, 0.3, key=3),
    lambda x: functional.drop(x, GAUSSIAN, key=3),
    lambda x: fused.dropout_add(x, x, 0.5, key=3),
]
ALL: list[Function] = [
    *DROPS,
    lambda x: fused.bias_act_dropout(x, None, 0.5, "gelu", key=3),
    lambda x: fused.dropout_add_layer_norm(x, 2 * x, p=0.5, key=3),
    lambda x: dt.scaled_dot_product_attention(x, x, x, dropout_p=0.5, source={"key": 3}),
]
TRANSFORMS: list[Any] = [
    lambda f: grad(lambda x: (f(x) ** 2).sum()),
    lambda f: lambda x: vjp(f, x)[1](x)[0],
    lambda f: lambda x: jvp(f, (x,), (x.cos(),)),
]


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_compiled_transform_gives_what_it_gives_eagerly(
    drop: Function, transform: Any, dtype: torch.dtype
) -> None:
    """The first operation of a function, whose input Dynamo takes for one without a gradient."""
    x = torch.randn(2, 8).to(dtype)
    expected = transform(drop)(x)
    compiled: Any = torch.compile(transform(drop), fullgraph=True, backend="aot_eager")
    found = compiled(x)
    torch.testing.assert_close(found, expected)


def test_compiled_gradients_of_each_sample_draw_apart_where_asked_to() -> None:
    model = nn.Sequential(nn.Linear(64, 1, bias=False), dt.Dropout(0.5))
    weights, x = dict(model.named_parameters()), torch.ones(40, 64)

    def loss(weights: Any, row: Tensor) -> Tensor:
        y: Tensor = functional_call(model, weights, (row,))
        return y.sum()

    for randomness, several in (("different", True), ("same", False)):
        each = vmap(grad(loss), (None, 0), randomness=randomness)
        found = torch.compile(each, fullgraph=True, backend="aot_eager")(weights, x)["0.weight"]
        shares = found[:, 0, 0]
        assert set(shares.tolist()) <= {0.0, 2.0}
        # 40 coins fall alike with a probability of 2**-39.
        assert (len(set(shares.tolist())) == 2) == several


@pytest.mark.parametrize("function", ALL)
def test_a_batch_of_gradients_is_one_after_the_other(function: Function) -> None:
    x = torch.randn(2, 5, 4, requires_grad=True)
    y = function(x)
    several = torch.randn(3, *y.shape)
    expected = torch.stack([torch.autograd.grad(y, x, each, retain_graph=True)[0] for each in several])
    (found,) = torch.autograd.grad(y, x, several, is_grads_batched=True, retain_graph=True)
    torch.testing.assert_close(found, expected)
    mapped = vmap(lambda each: torch.autograd.grad(y, x, each, retain_graph=True)[0])(several)
    torch.testing.assert_close(mapped, expected)


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")  # torch's own, of linearize
@pytest.mark.parametrize("function", ALL)
def test_what_is_recorded_is_what_happens(function: Function) -> None:
    x, other = torch.randn(2, 2, 5, 4)
    torch.testing.assert_close(make_fx(function)(x)(other), function(other))
    value, tangent = linearize(function, x)
    torch.testing.assert_close(value, function(x))
    torch.testing.assert_close(tangent(other), jvp(function, (x,), (other,))[1])


def test_a_recorded_draw_draws_anew() -> None:
    graph = make_fx(lambda x: functional.dropout(x, 0.5))(torch.ones(100))
    assert not torch.equal(graph(torch.ones(100)), graph(torch.ones(100)))
