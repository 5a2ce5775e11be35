import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError, Key
from dropkit.core.check import RATE
from dropkit.core.rate import threshold
from dropkit.core.reference import draws, mask
from dropkit.methods.channel_drop_back import channel_drop_back
from dropkit.torch import ChannelDropBack, Stepper, under_key, wrap_weights

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def gradient(layer: Any, x: torch.Tensor, key: Any = None) -> torch.Tensor:
    layer.zero_grad()
    layer(x, key=key).square().sum().backward()
    grad: torch.Tensor = layer.weight.grad
    return grad.clone()


@pytest.mark.parametrize("over", ["outputs", "inputs"])
@pytest.mark.parametrize(
    ("module", "shape"),
    [(nn.Linear(6, 4), (5, 6)), (nn.Conv2d(6, 4, 3), (2, 6, 5, 5))],
    ids=["linear", "conv"],
)
def test_the_gradient_is_dropped_by_channel_and_the_output_is_not(
    module: Any, shape: tuple[int, ...], over: Any
) -> None:
    layer, x = ChannelDropBack(module, 0.4, over=over), torch.randn(shape)
    plain = copy.deepcopy(module)
    plain(x).square().sum().backward()
    assert torch.equal(layer(x, key=3), plain(x))
    size = plain.weight.shape
    m = mask(3, (size[0], 1) if over == "outputs" else (1, size[1]), channel_drop_back(0.4, over))
    factor = torch.from_numpy(m).float().reshape(*m.shape, *(1,) * (len(size) - 2))
    torch.testing.assert_close(gradient(layer, x, 3), plain.weight.grad * factor)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


def test_what_reaches_the_input_is_untouched() -> None:
    layer, x = ChannelDropBack(nn.Linear(6, 4), 0.9), X.clone().requires_grad_()
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.weight.sum(0).detach().expand(5, 6))


def test_a_layer_that_is_not_hit_has_its_whole_gradient() -> None:
    layer, hits = ChannelDropBack(nn.Linear(6, 4), 1.0, layer_rate=0.5), []
    for step in range(40):
        key = Key(7).fold("step", step)
        grad = gradient(layer, X, key)
        hits.append(bool((grad == 0).all()))
        assert hits[-1] or bool((grad != 0).all())
        coin = draws(key, (4, 1)).second()[0, 0]
        assert hits[-1] == (coin < threshold(0.5, np))
    assert 0 < sum(hits) < 40


def test_the_coin_of_the_layer_and_those_of_the_channels_are_apart() -> None:
    layer = ChannelDropBack(nn.Linear(6, 1), 0.5, layer_rate=0.5)
    seen = {bool((gradient(layer, X, Key(7).fold("step", step)) == 0).all()) for step in range(40)}
    always = ChannelDropBack(layer.module, 0.5)
    both = [
        (
            bool((gradient(layer, X, Key(7).fold("step", step)) == 0).all()),
            bool((gradient(always, X, Key(7).fold("step", step)) == 0).all()),
        )
        for step in range(40)
    ]
    assert seen == {True, False}
    # A channel that the coin of its layer spared would have been dropped otherwise, and none the other way.
    assert {(False, True), (True, True), (False, False)} == set(both)


def test_evaluation_and_passes_without_gradient_draw_nothing() -> None:
    layer = ChannelDropBack(nn.Linear(6, 4), 0.5)
    before = torch.get_rng_state()
    with torch.no_grad():
        layer(X)
    layer.eval()(X)
    assert torch.equal(torch.get_rng_state(), before)
    assert bool((gradient(layer, X) != 0).all())


def test_there_are_no_monte_carlo_passes_over_it() -> None:
    with (
        pytest.raises(DropkitError, match="has dropout that draws in this mode"),
        dropkit.mode(ChannelDropBack(nn.Linear(6, 4), 0.5), "mc"),
    ):
        pass


def test_the_ends() -> None:
    assert bool((gradient(ChannelDropBack(nn.Linear(6, 4), 1.0), X) == 0).all())
    layer = ChannelDropBack(nn.Linear(6, 4), 0.0)
    assert bool((gradient(layer, X) != 0).all())


def test_the_seed_decides_and_a_schedule_moves_the_rate() -> None:
    layer = ChannelDropBack(nn.Linear(6, 64), dropkit.linear_schedule(0.5, 1.0, 4))
    torch.manual_seed(3)
    first, second = gradient(layer, X), gradient(layer, X)
    torch.manual_seed(3)
    assert torch.equal(gradient(layer, X), first)
    assert not torch.equal(first == 0, second == 0)
    Stepper(layer, 4)
    assert bool((gradient(layer, X) == 0).all())


def test_a_graph_drops_the_gradient_too() -> None:
    layer = ChannelDropBack(nn.Linear(6, 64), 0.5)
    expected = gradient(layer, X, 8)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    layer.zero_grad()
    compiled(X, key=8).square().sum().backward()
    torch.testing.assert_close(layer.weight.grad, expected)


def test_passes_under_one_key_drop_alike_and_others_mix() -> None:
    layer = ChannelDropBack(nn.Linear(6, 64), 0.5)
    gone = gradient(layer, X, 8) == 0
    assert torch.equal(gradient(layer, X, 9) == 0, gone) is False
    layer.zero_grad()
    for part in (X[:2], X[2:]):
        layer(part, key=8).square().sum().backward()
    assert torch.equal(layer.weight.grad == 0, gone)
    model = nn.Sequential(layer)
    layer.zero_grad()
    with under_key(model, 8):
        (model(X).square().sum() + model(X[:2]).square().sum()).backward()
    dropped = (layer.weight.grad == 0).all(1)
    assert 0 < int(dropped.sum()) < 64
    assert torch.equal(dropped[:, None].expand(64, 6), layer.weight.grad == 0)
    with under_key(model, 8):
        torch.testing.assert_close(gradient(layer, X) == 0, layer.weight.grad == 0)


def test_half_types_get_the_exact_factor() -> None:
    layer = ChannelDropBack(nn.Linear(6, 64), 0.1).bfloat16()
    layer(X[:1].bfloat16(), key=3).sum().backward()
    m = torch.from_numpy(mask(3, (64, 1), channel_drop_back(0.1)))
    assert torch.equal(layer.weight.grad, (X[:1].bfloat16().float() * m.float()).bfloat16())


def test_a_copy_and_a_wrapped_model() -> None:
    layer = ChannelDropBack(nn.Linear(6, 4), 0.5)
    assert torch.equal(gradient(copy.deepcopy(layer), X, 2), gradient(layer, X, 2))
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    expected = model(X)
    assert wrap_weights(model, lambda layer: ChannelDropBack(layer, 0.5, layer_rate=0.5)) == 2
    assert torch.equal(model(X), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"over": "rows"}, "over must be one of"),
        ({"layer_rate": 1.5}, "layer_rate must be a number"),
        ({"names": ["bias"], "over": "inputs"}, r"bias has an axis of inputs, got \(4,\)"),
        ({"scale": "both"}, "scale must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        ChannelDropBack(nn.Linear(6, 4), 0.5, **arguments)


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        ChannelDropBack(nn.Linear(2, 2), p)
