from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit.core.check import DropkitError
from dropkit.torch import (
    Attention,
    ConcreteDropout,
    ConditionDropout,
    DropActivation,
    DropConnect,
    DropEdge,
    DropGNN,
    DropKey,
    DropNode,
    Dropout,
    FastDropout,
    FractalDropPath,
    GatingDropout,
    GuidedDropout,
    HideAndSeek,
    LayerDropList,
    MaxPoolingDropout,
    ModalityDropout,
    MultiheadAttention,
    MultiSampleDropout,
    NestedDropout,
    QuantNoise,
    RandomErasing,
    RandomPropagation,
    ShakeDrop,
    Shakeout,
    SkipBranch,
    SpectralDropout,
    Stochastic,
    Swapout,
    SwitchedBranch,
    TargetedUnitDropout,
    Thinned,
    TokenDropping,
    WeightedChannelDropout,
)
from dropkit.torch.schedule import Stepper, set_depth_rates, set_rates

LINEAR = dropkit.linear_schedule(0.0, 0.8, 4)


def line() -> nn.Linear:
    return nn.Linear(4, 4)


RATED: list[Callable[[], Any]] = [
    lambda: Attention(0.5),
    lambda: ConditionDropout(0, 0.5),
    lambda: DropActivation(0.5),
    lambda: DropEdge(0.5),
    lambda: DropGNN(line(), 0.5),
    lambda: DropKey(0.5),
    lambda: DropNode(0.5),
    lambda: FastDropout(line(), 0.5),
    lambda: FractalDropPath(0.5),
    lambda: GatingDropout(0.5),
    lambda: GuidedDropout(4, 0.5),
    lambda: HideAndSeek(0.5),
    lambda: LayerDropList([line()], 0.5),
    lambda: MaxPoolingDropout(0.5, 2),
    lambda: MultiSampleDropout(line(), 0.5),
    lambda: NestedDropout(0.5),
    lambda: RandomErasing(0.5),
    lambda: RandomPropagation(0.5),
    lambda: ShakeDrop(0.5),
    lambda: Shakeout(line(), 0.5),
    lambda: SkipBranch(line(), 0.5),
    lambda: SpectralDropout(0.5),
    lambda: Swapout(0.5),
    lambda: TargetedUnitDropout(line(), 0.5),
    lambda: Thinned(line(), line(), 0.5),
    lambda: TokenDropping(line(), 0.5),
    lambda: WeightedChannelDropout(0.5),
]
"""Modules of one rate that no description carries."""

NUMBERS: list[Callable[[], Any]] = [
    lambda: DropConnect(line(), 0.5),
    lambda: QuantNoise(line(), 0.5),
    lambda: SwitchedBranch(line(), 0.5),
    lambda: MultiheadAttention(4, 2, dropout=0.5),
    lambda: ModalityDropout(0.5),
]


@pytest.mark.parametrize("make", RATED + NUMBERS)
def test_every_rate_is_set_and_checked(make: Callable[[], Any]) -> None:
    layer = make()
    assert layer.p == 0.5
    for bad in (7.0, True, None):
        with pytest.raises(DropkitError, match="p must be a number"):
            layer.p = bad
    layer.p = 0.25
    assert layer.p == 0.25
    set_rates(nn.Sequential(layer, Dropout(0.5)), 0.75)
    assert layer.p == 0.75
    set_depth_rates(nn.Sequential(layer), 0.1, type(layer))
    assert layer.p == 0.1


@pytest.mark.parametrize("make", RATED)
def test_every_rate_follows_a_schedule_and_its_checkpoint(make: Callable[[], Any]) -> None:
    layer, other = make(), make()
    layer.p = other.p = LINEAR
    Stepper(nn.Sequential(layer)).move_to(2)
    assert layer.p == 0.4
    other.load_state_dict(layer.state_dict())
    assert (other.p, Stepper(other).now) == (0.4, 2)
    layer.p = 0.5
    assert "step" not in layer.state_dict()
    with torch.device("meta"):
        unborn = make()
        unborn.p = LINEAR
    assert Stepper(unborn.to_empty(device="cpu")).now == 0


@pytest.mark.parametrize("p", [line(), nn.Parameter(torch.ones(2)), 1.5])
def test_what_is_no_rate_is_refused_when_a_module_is_made(p: Any) -> None:
    for make in (DropKey, ShakeDrop, DropEdge, DropActivation, RandomPropagation, Swapout, HideAndSeek):
        with pytest.raises(DropkitError, match="p must be a number"):
            make(p)


def test_what_is_drawn_follows_the_rate() -> None:
    layer = DropActivation(LINEAR)
    x = -torch.ones(10_000)
    assert not layer(x).any()
    Stepper(layer).move_to(4)
    assert abs(layer(x).mean() + 0.8) < 0.02
    swap = Swapout(0.0, 0.0)
    swap.p = 1.0
    assert torch.equal(swap(x, x), x)


def test_a_slice_of_a_list_keeps_its_schedule_and_step() -> None:
    stack = LayerDropList([line(), line()], LINEAR)
    Stepper(stack).move_to(2)
    part = stack[1:]
    assert (part.p, Stepper(part).now) == (0.4, 2)


def test_learned_rates_are_left_alone_and_cannot_be_set() -> None:
    learned = ConcreteDropout(line(), rows=10)
    set_rates(nn.Sequential(learned, Dropout(0.5)), 0.3)
    assert round(learned.p, 3) == 0.1
    with pytest.raises(DropkitError, match="p is learned by this layer"):
        learned.p = 0.3


def test_a_layer_without_a_schedule_refuses_one_before_anything_is_changed() -> None:
    model: Any = nn.Sequential(Dropout(0.5), MultiheadAttention(4, 2, dropout=0.5))
    with pytest.raises(DropkitError, match=r"takes no schedule, got 'MultiheadAttention'; set layer.p"):
        set_rates(model, LINEAR)
    assert model[0].p == 0.5


def test_a_rate_of_a_module_that_cannot_follow_is_refused_by_name() -> None:
    class Own(Stochastic):
        p = 0.5

    with pytest.raises(DropkitError, match="got '1: Own'"):
        set_rates(nn.Sequential(Dropout(0.5), Own()), 0.1)
