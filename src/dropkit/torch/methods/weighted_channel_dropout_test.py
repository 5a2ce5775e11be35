import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.rate import threshold
from dropkit.core.reference import draws, unit
from dropkit.methods.weighted_channel_dropout import rescale, selected
from dropkit.torch import WeightedChannelDropout

KEY = Key(21)
SHAPE = (6, 10, 3, 2)
# Whole numbers, whose means are exact in every order.
X = torch.randint(0, 9, SHAPE, generator=torch.Generator().manual_seed(0)).float()


def factor(p: float, extra: float, x: torch.Tensor = X) -> torch.Tensor:
    """The factor of every entry by the law on NumPy."""
    scores = x.double().numpy().mean((2, 3)).clip(0)
    kept = selected(scores, unit(KEY.fold("selection"), (6, 10)), p, np)
    fallen = draws(KEY.fold("coin"), (6, 10)).u < threshold(extra, np)
    m = np.where(kept & ~fallen, rescale(scores, kept), 0.0)
    return torch.from_numpy(m).float()[:, :, None, None].expand(SHAPE)


@pytest.mark.parametrize(("p", "extra"), [(0.5, 0.0), (0.5, 0.3), (0.0, 0.3), (0.9, 0.0)])
def test_the_factor_is_that_of_the_law_forward_and_backward(p: float, extra: float) -> None:
    x = X.clone().requires_grad_()
    y = WeightedChannelDropout(p, extra)(x, key=KEY)
    (through,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(y, factor(p, extra) * X)
    assert torch.equal(through, factor(p, extra))


def test_without_the_coin_every_sample_keeps_the_same_number_of_channels_and_its_sum() -> None:
    y = WeightedChannelDropout(0.3, 0.0)(X + 1, key=KEY)
    assert ((y != 0).any(3).any(2).sum(1) == 7).all()
    torch.testing.assert_close(y.sum((1, 2, 3)), (X + 1).sum((1, 2, 3)))


def test_quiet_channels_fall_first_and_active_ones_are_spared() -> None:
    x = torch.zeros(64, 4, 2)
    x[:, 1], x[:, 3] = 1.0, 2.0
    assert torch.equal(WeightedChannelDropout(0.5, 0.0)(x), x)


def test_negative_channels_have_no_score() -> None:
    x = torch.tensor([[-5.0, 1.0, -1.0, 2.0]])
    assert torch.equal(WeightedChannelDropout(0.5, 0.0)(x), torch.tensor([[0.0, 1.0, 0.0, 2.0]]))


def test_rates_of_zero_and_one() -> None:
    assert WeightedChannelDropout(0.0, 0.0)(X) is X
    assert (WeightedChannelDropout(1.0, 0.0)(X) == 0).all()
    assert (WeightedChannelDropout(0.0, 1.0)(X) == 0).all()


def test_a_channel_that_fell_is_zero_whatever_it_held() -> None:
    x = torch.ones(1, 2, 2)
    x[0, 1, 0], x[0, 1, 1] = math.inf, -math.inf
    y = WeightedChannelDropout(0.0, 1.0)(x)
    assert (y == 0).all()


def test_evaluation_returns_the_input_itself_and_mc_draws() -> None:
    layer = WeightedChannelDropout(0.5).eval()
    assert layer(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), WeightedChannelDropout(0.5)(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        assert not torch.equal(layer(X), y)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_half_is_computed_in_float32_and_graphs_draw_too() -> None:
    layer = WeightedChannelDropout(0.5)
    assert torch.equal(layer(X.half(), key=KEY), layer(X, key=KEY).half())
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_drop_alike_and_the_input_stays() -> None:
    layer, before = WeightedChannelDropout(0.3, 0.2), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)
    assert layer.state_dict() == {}


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        WeightedChannelDropout(p)
    with pytest.raises(DropkitError, match="extra_p must be a number in"):
        WeightedChannelDropout(0.5, p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: WeightedChannelDropout()(torch.ones(3)), "input has at least 2 axes"),
        (lambda: WeightedChannelDropout()(X.long()), "input has a real floating type"),
        (lambda: WeightedChannelDropout()(X, key="x"), "key must be an int"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 3, 0)], ids=str)
def test_empty_maps_pass(shape: tuple[int, ...]) -> None:
    assert WeightedChannelDropout(0.5)(torch.ones(shape)).shape == shape
