import copy
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import unit
from dropkit.methods.l0_gates import chance_open, hard_concrete, settled_gate
from dropkit.torch import L0Gates, L0Weights, parameter_groups, penalty

X = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))


def gates(size: Any = 8, **arguments: Any) -> L0Gates:
    layer = L0Gates(size, **arguments)
    with torch.no_grad():
        layer.log_alpha.copy_(torch.linspace(-4, 4, layer.log_alpha.numel()).view_as(layer.log_alpha))
    return layer


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize(
    ("size", "shape"), [(8, (5, 8)), (8, (5, 3, 8)), ((4, 1, 1), (5, 4, 3, 3)), ((3, 8), (5, 3, 8))]
)
def test_the_gates_are_those_of_numpy(size: Any, shape: tuple[int, ...], per: Any) -> None:
    layer, x = gates(size, per=per), torch.randn(shape)
    own = layer.log_alpha.detach().numpy()
    lead = shape[:1] if per == "sample" else ()
    drawn = (*lead, *(1,) * (len(shape) - len(lead) - own.ndim), *own.shape)
    z = hard_concrete(own.astype(np.float64), unit(7, drawn))
    assert 0 < (z == 0).mean() < 1
    torch.testing.assert_close(layer(x, key=7).detach(), (x * torch.from_numpy(z)).float())


def test_evaluation_has_the_settled_gates_and_mc_mode_draws() -> None:
    layer = gates().eval()
    z = torch.from_numpy(settled_gate(layer.log_alpha.detach().numpy())).float()
    torch.testing.assert_close(layer(X), X * z)
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), layer.train()(X, key=1))
    assert layer.sparsity == float((z == 0).float().mean())
    assert layer.acts_in_eval


def test_the_penalty_is_the_expected_number_of_open_gates() -> None:
    layer = gates(weight=0.5)
    expected = 0.5 * chance_open(layer.log_alpha.detach().numpy()).sum()
    assert penalty(nn.Sequential(layer)).item() == pytest.approx(expected, rel=1e-6)
    assert [group["weight_decay"] for group in parameter_groups(layer, weight_decay=0.1)] == [0.1, 0.0]


def test_a_wrapped_layer_counts_its_gates_once() -> None:
    layer = L0Weights(nn.Linear(3, 2), weight=0.5)
    assert penalty(layer).item() == pytest.approx(0.5 * 6 * float(chance_open(0.0)), rel=1e-6)
    assert len(parameter_groups(layer, weight_decay=0.1)[1]["params"]) == 1


def test_the_gradient_of_input_and_gates_is_that_of_the_formula() -> None:
    layer, x = gates().double(), X.double().requires_grad_()
    torch.autograd.gradcheck(lambda x: layer(x, key=3), (x,))
    layer(x, key=3).sum().backward()
    u = torch.from_numpy(unit(3, (1, 8)))
    own = layer.log_alpha.detach().clone().requires_grad_()
    (hard_concrete(own, u, torch) * x).sum().backward()
    assert layer.log_alpha.grad is not None
    torch.testing.assert_close(layer.log_alpha.grad, own.grad)
    assert own.grad is not None
    assert own.grad.abs().max() > 0


def test_what_a_shut_gate_holds_back_is_gone() -> None:
    layer = L0Gates(2).eval()
    with torch.no_grad():
        layer.log_alpha.copy_(torch.tensor([-9.0, 9.0]))
    assert layer(torch.tensor([[float("nan"), 2.0]])).tolist() == [[0.0, 2.0]]


def test_half_types_come_back_as_they_are() -> None:
    layer = gates()
    exact = layer(X.bfloat16().float(), key=3)
    half = layer(X.bfloat16(), key=3)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, rtol=1e-2, atol=1e-2)


def test_a_copy_and_a_loaded_layer_are_the_same() -> None:
    layer, fresh = gates(), L0Gates(8)
    fresh.load_state_dict(layer.state_dict())
    assert torch.equal(fresh(X, key=1), layer(X, key=1))
    assert torch.equal(copy.deepcopy(layer)(X, key=1), layer(X, key=1))


def test_a_graph_draws_the_eager_gates() -> None:
    layer = gates()
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(X, key=8), layer(X, key=8))
    assert not torch.equal(compiled(X), compiled(X))


def train(model: nn.Module) -> None:
    """Fit all sign patterns of six inputs, of which two matter."""
    x = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)))
    y = x[:, :2] @ torch.tensor([[2.0], [-1.5]])
    optimizer = torch.optim.Adam(parameter_groups(model), lr=0.1)
    for step in range(200):
        optimizer.zero_grad()
        with dropkit.torch.under_key(model, step):
            loss = (model(x) - y).square().mean()
        (loss + penalty(model)).backward()
        optimizer.step()
    model.eval()


def test_the_gates_of_inputs_that_matter_stay_open_and_the_others_shut() -> None:
    torch.manual_seed(0)
    layer = L0Gates(6, weight=0.05)
    train(nn.Sequential(layer, nn.Linear(6, 1)))
    assert layer.settled.tolist() == [1, 1, 0, 0, 0, 0]


def test_the_gates_of_weights_learn_the_same() -> None:
    torch.manual_seed(0)
    layer = L0Weights(nn.Linear(6, 1), weight=0.05)
    train(layer)
    assert layer.noise.settled.tolist() == [[1, 1, 0, 0, 0, 0]]
    assert layer.sparsity == pytest.approx(4 / 6)


def test_a_high_price_shuts_every_gate() -> None:
    layer = L0Gates(6, weight=50.0)
    train(nn.Sequential(layer, nn.Linear(6, 1)))
    assert layer.sparsity == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, r"size\[0\] must be a whole number"),
        ({"size": 4, "p": 0.0}, r"p must be a number in \(0, 1\)"),
        ({"size": 4, "p": 1.0}, r"p must be a number in \(0, 1\)"),
        ({"size": 4, "weight": -1.0}, "weight must be a number"),
        ({"size": 4, "beta": 0.0}, "beta must be a number"),
        ({"size": 4, "per": "gate"}, "per must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        L0Gates(**arguments)


@pytest.mark.parametrize("shape", [(5, 7), (8, 5), ()])
def test_an_input_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DropkitError, match=r"input ends in axes that units of shape \(8,\) fit"):
        L0Gates(8)(torch.ones(shape))
    with pytest.raises(DropkitError, match="did you mean 'weight'"):
        L0Weights(nn.Linear(2, 2), name="wieght")
    with pytest.raises(DropkitError, match="input ends in axes"):
        L0Gates(8, per="sample")(torch.ones(8))
