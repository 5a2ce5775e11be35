import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from dropkit.core.check import DropkitError
from dropkit.torch.max_norm import RADIUS, max_norm_

FLOATS = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def weigh(module: Any, numbers: Any) -> Any:
    with torch.no_grad():
        module.weight.copy_(torch.as_tensor(numbers, dtype=torch.float64).reshape(module.weight.shape))
    return module


def test_a_unit_outside_goes_to_the_surface_and_keeps_its_direction() -> None:
    layer = weigh(nn.Linear(2, 3, dtype=torch.float64), [[3.0, 4.0], [0.0, -8.0], [0.6, 0.8]])
    assert max_norm_(layer, 2.0) == 2
    expected = torch.tensor([[1.2, 1.6], [0.0, -2.0], [0.6, 0.8]], dtype=torch.float64)
    assert (layer.weight - expected).abs().max() <= 2.0 * 8 * torch.finfo(torch.float64).eps


def test_units_inside_the_ball_and_on_it_keep_their_bits_and_biases_stay() -> None:
    layer = weigh(nn.Linear(2, 2), [[3.0, 4.0], [0.1, 0.7]])
    before = copy.deepcopy(layer.state_dict())
    assert max_norm_(layer, 5.0) == 0
    assert max_norm_(layer, 4.999) == 1
    assert torch.equal(layer.weight[1], before["weight"][1])
    assert torch.equal(layer.bias, before["bias"])


@pytest.mark.parametrize("dtype", FLOATS)
@given(seed=st.integers(0, 2**32), fan_in=st.integers(1, 300), c=st.floats(0.01, 100))
def test_afterwards_no_norm_exceeds_c_and_a_second_call_clips_nothing(
    dtype: torch.dtype, seed: int, fan_in: int, c: Any
) -> None:
    layer = nn.Linear(fan_in, 8, dtype=dtype)
    spread = 3 * c / math.sqrt(fan_in)
    weigh(layer, torch.randn(8, fan_in, generator=torch.Generator().manual_seed(seed)) * spread)
    max_norm_(layer, c)
    assert torch.linalg.vector_norm(layer.weight, dim=1, dtype=torch.float64).max() <= c
    clipped = layer.weight.clone()
    assert max_norm_(layer, c) == 0
    assert torch.equal(layer.weight, clipped)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_a_filter_is_a_unit(kind: Any, groups: int) -> None:
    layer = kind(4, 6, 2, groups=groups)
    weigh(layer, torch.arange(1.0, layer.weight.numel() + 1))
    expected = layer.weight.detach().double().flatten(1)
    expected = expected * (5.0 / expected.norm(dim=1, keepdim=True)).clamp(max=1)
    assert max_norm_(layer, 5.0) == 6
    torch.testing.assert_close(layer.weight.flatten(1).double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_the_unit_of_a_transposed_convolution_is_an_output_channel(kind: Any, groups: int) -> None:
    layer = kind(4, 6, 1, groups=groups, bias=False, dtype=torch.float64)
    weigh(layer, 10 * torch.randn(layer.weight.shape, generator=torch.Generator().manual_seed(0)))
    assert max_norm_(layer, 1.0) == 6
    # With a kernel of one entry, the answer to an input channel alone is the weight it brings to each unit.
    ones = torch.eye(4, dtype=torch.float64).reshape(4, 4, *[1] * (layer.weight.dim() - 2))
    incoming = layer(ones).reshape(4, 6)
    torch.testing.assert_close(incoming.norm(dim=0), torch.ones(6, dtype=torch.float64), rtol=1e-12, atol=0)


def test_what_skip_names_is_left_alone_with_all_it_holds() -> None:
    model: Any = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2)))
    for module in (model[0], *model[1]):
        nn.init.constant_(module.weight, 10.0)
    assert max_norm_(model, 1.0, skip=["1.1"]) == 6
    assert (model[1][1].weight == 10).all()
    nn.init.constant_(model[1][0].weight, 10.0)
    assert max_norm_(model, 1.0, skip=["1"]) == 0


def test_a_shared_module_is_clipped_once() -> None:
    shared = nn.Linear(3, 3)
    nn.init.constant_(shared.weight, 10.0)
    assert max_norm_(nn.Sequential(shared, shared), 1.0) == 3


def test_it_works_in_place_between_backward_and_step() -> None:
    layer = nn.Linear(3, 2)
    nn.init.constant_(layer.weight, 10.0)
    weight = layer.weight
    layer(torch.ones(1, 3)).sum().backward()
    max_norm_(layer, 1.0)
    assert layer.weight is weight
    assert weight.is_leaf
    assert weight.requires_grad
    assert weight.grad is not None
    assert torch.equal(weight.grad, torch.ones(2, 3))


@pytest.mark.parametrize("c", RADIUS.bad())
def test_c_is_a_number_above_zero(c: Any) -> None:
    with pytest.raises(DropkitError, match="c must be a number in"):
        max_norm_(nn.Linear(2, 2), c)


def weight_norm() -> Any:
    return nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))


def pruned() -> Any:
    return prune.identity(nn.Linear(2, 2), "weight")  # type: ignore[no-untyped-call]  # torch's


def diverged() -> Any:
    return weigh(nn.Linear(2, 1), [math.inf, 0.0])


def undefined() -> Any:
    return weigh(nn.Linear(2, 1), [math.nan, 0.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nn.ReLU, "model has weights to clip, got 'Sequential'"),
        (weight_norm, "model has plain weights, got '1: a computed weight'"),
        (pruned, "model has plain weights, got '1: a computed weight'"),
        (diverged, "model has finite weights, got '1.weight: inf or nan'"),
        (undefined, "model has finite weights, got '1.weight: inf or nan'"),
    ],
)
def test_what_cannot_be_clipped_is_refused_and_nothing_is_changed(
    make: Callable[..., nn.Module], message: str
) -> None:
    first = nn.ReLU() if make is nn.ReLU else nn.Linear(2, 2)
    model = nn.Sequential(first, make())
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(DropkitError, match=message):
        max_norm_(model, 0.01)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0, equal_nan=True)


def test_a_weight_of_two_modules_is_clipped_and_counted_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    with torch.no_grad():
        first.weight.copy_(2 * torch.eye(4))
    assert max_norm_(nn.Sequential(first, second), 1.0) == 4
    torch.testing.assert_close(first.weight.detach(), torch.eye(4))


def test_one_name_is_not_read_letter_by_letter() -> None:
    with pytest.raises(DropkitError, match=r"skip is a list of names, got '0'; write e.g. \['0'\]"):
        max_norm_(nn.Sequential(nn.Linear(2, 2)), 1.0, skip="0")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(DropkitError, match="skip must be one of the names, got 'hed'; did you mean 'head'"):
        max_norm_(nn.ModuleDict({"head": nn.Linear(2, 2)}), 1.0, skip=["hed"])


def test_a_tensor_is_no_model() -> None:
    with pytest.raises(DropkitError, match="model must be a Module"):
        max_norm_(torch.ones(2, 2), 1.0)  # type: ignore[arg-type]  # that is the test
