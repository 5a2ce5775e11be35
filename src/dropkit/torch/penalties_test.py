import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import dropkit
from dropkit import DropkitError
from dropkit.torch import (
    ConcreteDropout,
    ContextualDropout,
    DropMax,
    Dropout,
    InformationDropout,
    PenaltyHook,
    VariationalDropout,
    VariationalLinear,
    arm_backward,
    parameter_groups,
    penalty,
)

X = torch.linspace(-1, 1, 24).reshape(6, 4)


def model() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        VariationalDropout(4, rows=20),
        ConcreteDropout(nn.Linear(4, 3), rows=20, length_scale=1.0),
        nn.ReLU(),
        VariationalLinear(nn.Linear(3, 1), rows=20),
    )


def loss(net: Any) -> Tensor:
    """The same draws at each call, and a loss that is far from its minimum."""
    torch.manual_seed(1)
    return (net(X) - 1).square().mean()  # type: ignore[no-any-return]  # a module's call is untyped


def backward(value: Any) -> None:
    value.backward()


def slopes(net: nn.Module) -> list[Tensor]:
    return [p.grad for p in net.parameters() if p.grad is not None]


def alike(one: nn.Module, other: nn.Module) -> bool:
    pairs = list(zip(slopes(one), slopes(other), strict=True))
    assert len(pairs) == len(list(one.parameters()))
    return all(torch.allclose(a, b, rtol=1e-5, atol=1e-7) for a, b in pairs)


def test_the_penalty_is_the_sum_over_layers() -> None:
    net = model()
    terms = [float(layer.penalty().detach()) for layer in (net[0], net[1], net[3])]
    assert float(penalty(net).detach()) == pytest.approx(sum(terms))


def test_a_layer_in_two_places_counts_once() -> None:
    layer = VariationalDropout(4, rows=20)
    assert torch.equal(penalty(nn.Sequential(layer, nn.ReLU(), layer)), penalty(layer))


def test_layers_of_different_types_are_summed() -> None:
    net = nn.Sequential(VariationalDropout(4, rows=20), VariationalDropout(4, rows=20).double())
    assert float(penalty(net).detach()) == pytest.approx(2 * float(penalty(net[0]).detach()))


def test_a_plain_loop_brings_the_loss_down_and_the_rates_into_motion() -> None:
    net = model()
    optimizer = torch.optim.SGD(parameter_groups(net, lr=0.05, weight_decay=0.0))
    before = [float(layer.p.mean()) for layer in (net[0], net[3])] + [net[1].p]
    first = float((loss(net) + penalty(net)).detach())
    for _ in range(50):
        optimizer.zero_grad()
        backward(loss(net) + penalty(net))
        optimizer.step()
    assert float((loss(net) + penalty(net)).detach()) < first / 2
    after = [float(layer.p.mean()) for layer in (net[0], net[3])] + [net[1].p]
    assert all(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_the_hook_adds_the_gradient_of_the_penalty_in_the_loss(weight: float) -> None:
    one, other = model(), model()
    backward(loss(one) + weight * penalty(one))
    backward(loss(other))
    assert not alike(one, other)
    PenaltyHook(other, weight).add()
    assert alike(one, other)


def test_the_hook_acts_before_each_step_until_it_is_removed() -> None:
    one, other = model(), model()
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (one, other)]
    handle = PenaltyHook(other).follow(optimizers[1])
    for _ in range(3):
        for optimizer in optimizers:
            optimizer.zero_grad()
        backward(loss(one) + penalty(one))
        backward(loss(other))
        for optimizer in optimizers:
            optimizer.step()
    assert alike(one, other)
    handle.remove()
    before = [slope.clone() for slope in slopes(other)]
    optimizers[1].step()
    assert all(torch.equal(a, b) for a, b in zip(before, slopes(other), strict=True))


def test_batches_that_are_accumulated_have_one_penalty() -> None:
    one, other = model(), model()
    hook = PenaltyHook(other)
    backward(loss(one) + penalty(one))
    for _ in range(2):
        backward(loss(other) / 2)
    hook.add()
    assert alike(one, other)


def test_a_gradient_scaler_leaves_the_penalty_unscaled() -> None:
    one, other = model(), model()
    optimizer, scaler = torch.optim.SGD(other.parameters(), lr=0.0), torch.amp.GradScaler("cpu", 1024.0)
    PenaltyHook(other).follow(optimizer)
    backward(loss(one) + penalty(one))
    backward(scaler.scale(loss(other)))
    scaler.step(optimizer)
    assert alike(one, other)


def test_a_model_that_is_frozen_for_a_while_is_left_alone() -> None:
    net = model().requires_grad_(False)
    PenaltyHook(net).add()
    assert not slopes(net)


def test_under_autocast_the_penalty_stays_in_single_precision() -> None:
    net = model()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        term = penalty(net)
        backward(loss(net).float() + term)
    assert term.dtype == torch.float32
    assert all(torch.isfinite(slope).all() for slope in slopes(net))


def test_rates_have_a_group_of_their_own_that_does_not_decay() -> None:
    net = model()
    first, second = parameter_groups(net, lr=0.1, weight_decay=0.5)
    assert (first["lr"], first["weight_decay"]) == (second["lr"], 0.5)
    assert second["weight_decay"] == 0
    rates = [net[i].logit for i in (0, 1, 3)]
    assert {id(rate) for rate in second["params"]} == {id(rate) for rate in rates}
    before = copy.deepcopy(net.state_dict())
    optimizer = torch.optim.AdamW([first, second])
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if "logit" not in name}


def test_a_shared_layer_is_in_one_group_once() -> None:
    layer, weights = VariationalDropout(4, rows=20), nn.Linear(4, 4)
    net = nn.Sequential(layer, weights, layer, weights)
    groups = parameter_groups(net, lr=0.1)
    assert [len(group["params"]) for group in groups] == [2, 1]
    torch.optim.SGD(groups)


def test_a_model_without_learned_rates_has_one_group() -> None:
    (group,) = parameter_groups(nn.Sequential(nn.Linear(2, 2), Dropout(0.5)), lr=0.1)
    assert len(group["params"]) == 2


def test_a_layer_that_cannot_learn_names_those_that_do() -> None:
    with pytest.raises(DropkitError) as refused:
        Dropout(dropkit.Learned(0.1))
    named = re.findall(r"[A-Z]\w+(?:Dropout|Linear)", refused.value.mend)
    assert len(named) == 4
    for kind in (getattr(dropkit.torch, name) for name in named):
        assert kind.penalty is not dropkit.torch.Stochastic.penalty


def test_what_is_wrong_is_refused() -> None:
    plain: Any = nn.Sequential(Dropout(0.5))
    for make in (penalty, PenaltyHook):
        with pytest.raises(DropkitError, match="model has a layer with a penalty"):
            make(plain)
    with pytest.raises(DropkitError, match="weight must be a number in"):
        PenaltyHook(model(), -1.0)
    for ask in (penalty, parameter_groups):
        with pytest.raises(DropkitError, match="model must be a Module"):
            ask("model")  # type: ignore[arg-type]  # that is the test


def make_contextual() -> Any:
    return ContextualDropout(4, noise="gaussian")


def make_information() -> Any:
    return InformationDropout(nn.Linear(4, 4), nn.Linear(4, 4), beta=1.0)


@pytest.mark.parametrize("make", [make_contextual, make_information])
def test_a_penalty_of_the_batch_is_refused_where_it_comes_too_late(make: Callable[[], Any]) -> None:
    layer = make()
    with pytest.raises(DropkitError, match="follow from parameters alone"):
        PenaltyHook(nn.Sequential(layer))
    x = torch.randn(3, 4, requires_grad=True)
    checkpoint(layer, x, use_reentrant=True)
    with pytest.raises(DropkitError, match="is that of a batch with gradients"):
        penalty(layer)
    checkpoint(layer, x, use_reentrant=False)
    torch.autograd.backward(penalty(layer))


def test_after_the_estimator_there_is_still_the_penalty_of_its_first_pass() -> None:
    gate = ContextualDropout(2)
    arm_backward(gate, lambda: gate(torch.ones(3, 2)).sum(1), key=1)
    assert penalty(gate).requires_grad


def test_biases_that_alone_set_a_rate_are_rates() -> None:
    contextual, information, classes = make_contextual(), make_information(), DropMax(4, 3)
    assert [id(p) for p in classes.rates()] == [id(classes.prior.bias), id(classes.residual.bias)]
    assert [id(p) for p in information.rates()] == [id(information.noise.bias)]
    assert id(contextual.network[-1].bias) in [id(p) for p in contextual.rates()]
