from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit.experiments.penalties import attach
from dropkit.report.plan import Arm
from dropkit.torch import Dropout


def updated(model: nn.Module, loss: Any, arm: Arm | None) -> list[torch.Tensor]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if arm is not None:
        attach(model, optimizer, arm)
    torch.autograd.backward(loss(model))
    optimizer.step()
    return [value.detach().clone() for value in model.parameters()]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3), nn.Flatten(), nn.Linear(12, 2))


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_penalties_are_those_of_the_loss_over_weights_alone(l1: float, l2: float) -> None:
    x = torch.randn(5, 2, 4)

    def plain(model: nn.Module) -> Any:
        return model(x).square().mean()

    def penalised(model: nn.Module) -> Any:
        weights = [model.get_parameter("0.weight"), model.get_parameter("3.weight")]
        return plain(model) + sum(l1 * w.abs().sum() + l2 / 2 * w.square().sum() for w in weights)

    expected, found = updated(net(), penalised, None), updated(net(), plain, Arm("p", "p", l1=l1, l2=l2))
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(expected, found, strict=True))


def test_frozen_weights_stay() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    frozen = model.get_parameter("0.weight").requires_grad_(False)
    before = frozen.clone()
    updated(model, lambda model: model(torch.ones(1, 2)).sum(), Arm("p", "p", l2=1.0))
    assert torch.equal(frozen, before)


def test_every_update_ends_inside_the_ball() -> None:
    model = nn.Linear(4, 3)
    updated(model, lambda model: model(torch.ones(1, 4)).sum(), Arm("m", "m", max_norm=0.2))
    assert model.weight.double().norm(dim=1).max().item() <= 0.2


def test_schedules_move_with_updates_also_those_that_the_model_brings() -> None:
    model = nn.Sequential(nn.Linear(2, 2), Dropout(dropkit.linear_schedule(0.0, 0.4, 4)))
    optimizer = torch.optim.SGD(model.parameters())
    attach(model, optimizer, Arm("none", "none"))
    for _ in range(2):
        optimizer.step()
    assert model[1].p == 0.2
