import math
from typing import Any

import torch

from dropkit.torch.two_ways import two_ways

X = torch.tensor([1.0, -2.0, 3.0])
AHEAD, BACK = torch.tensor([2.0, 0.0, 0.5]), torch.tensor([0.0, 5.0, 1.0])


def test_each_way_has_its_own_factor_and_zero_wins_over_nan() -> None:
    x = torch.tensor([1.0, math.nan, math.inf], requires_grad=True)
    y = two_ways(x, AHEAD, BACK)
    assert y.tolist() == [2.0, 0.0, math.inf]
    (through,) = torch.autograd.grad(y, x, torch.tensor([math.nan, 1.0, 1.0]))
    assert through.tolist() == [0.0, 5.0, 1.0]


def test_half_is_computed_in_float32() -> None:
    y = two_ways(torch.full((1,), 1.0, dtype=torch.float16), torch.tensor([1 / 3]), BACK[:1])
    assert y.dtype == torch.float16
    assert y.item() == torch.tensor(1 / 3).half().item()


def test_a_second_derivative_keeps_the_factor_of_the_way_back() -> None:
    x = X.clone().requires_grad_()
    y = two_ways(x**2, AHEAD, BACK).sum()
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    assert torch.equal(first, 2 * X * BACK)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert torch.equal(second, 2 * BACK)


def test_graphs_and_vmap_have_it_too() -> None:
    compiled: Any = torch.compile(two_ways, backend="aot_eager", fullgraph=True)
    x = X.clone().requires_grad_()
    y = compiled(x, AHEAD, BACK)
    (through,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, X * AHEAD)
    assert torch.equal(through, BACK)
    assert torch.equal(torch.vmap(two_ways)(X, AHEAD, BACK), X * AHEAD)
