from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.reference import mask
from dropkit.torch import LayerDropList, SwitchedBranch
from dropkit.torch.depth import skips, with_zero_gradients


def skipped() -> nn.Module:
    return SwitchedBranch(nn.Linear(2, 2), 1.0)


def test_decisions_are_those_of_every_dropout() -> None:
    assert skips([0.3] * 50, key=5) == tuple((mask(5, (50,), Drop(0.3)) == 0).tolist())
    assert skips([], key=5) == ()


@pytest.mark.parametrize("value", [1.0, torch.inf, torch.nan])
def test_a_parameter_gets_a_zero_whatever_it_is(value: float) -> None:
    layer = nn.Linear(2, 3)
    nn.init.constant_(layer.weight, value)
    y = with_zero_gradients(torch.ones(4, dtype=torch.float16), [layer])
    assert torch.equal(y, torch.ones(4, dtype=torch.float16))
    (grad,) = torch.autograd.grad((y * 2).sum(), layer.weight)
    assert torch.equal(grad, torch.zeros(3, 2))


def test_nothing_is_added_where_nothing_wants_a_gradient() -> None:
    x, layer = torch.ones(2), nn.Linear(2, 2)
    with torch.no_grad():
        assert with_zero_gradients(x, [layer]) is x
    assert with_zero_gradients(x, [layer.requires_grad_(False), nn.ReLU()]) is x


def test_what_comes_out_may_be_overwritten() -> None:
    x = torch.ones(2, requires_grad=True)
    (grad,) = torch.autograd.grad(with_zero_gradients(x * 1, [nn.Linear(2, 2)]).relu_().sum(), x)
    assert grad.tolist() == [1.0, 1.0]


def test_function_transforms_give_gradients_of_zero_too() -> None:
    stack = LayerDropList([nn.Linear(2, 2)], 1.0)
    own = dict(stack.named_parameters())

    def loss(values: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = functional_call(stack, values, (x,)).sum()
        return y

    slopes = grad(loss)({**own, "0.bias": torch.full((2,), torch.nan)}, torch.ones(2))
    assert [slope.tolist() for slope in slopes.values()] == [[[0.0, 0.0], [0.0, 0.0]], [0.0, 0.0]]


@pytest.mark.parametrize("kind", [lambda: LayerDropList([nn.Linear(2, 2)], 1.0), skipped])
def test_samples_are_mapped_where_all_go_one_way(kind: Callable[[], nn.Module]) -> None:
    x = torch.ones(3, 2)
    with pytest.raises(DropkitError, match="vmap has randomness='same' where a draw decides"):
        vmap(kind(), randomness="different")(x)
    assert torch.equal(vmap(kind(), randomness="same")(x), x)
