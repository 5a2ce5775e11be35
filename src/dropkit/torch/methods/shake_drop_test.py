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
from dropkit.core.reference import draws, unit
from dropkit.methods.shake_drop import COINS, PER, STRENGTHS, between, factor
from dropkit.torch import ShakeDrop

KEY = Key(8)
SHAPE = (6, 3, 2)
X = torch.linspace(-2, 3, 36).reshape(SHAPE)


def law(name: str, low: float, high: float, per: str = "sample", rate: float = 0.5) -> torch.Tensor:
    """The factor of one way on NumPy."""
    coin = draws(KEY.fold("coin"), SHAPE, COINS[per]).below(rate)
    drawn = factor(coin, between(unit(KEY.fold(name), SHAPE, STRENGTHS[per]), low, high), np)
    return torch.from_numpy(np.broadcast_to(drawn, SHAPE).copy()).float()


def both_ways(layer: ShakeDrop, x: torch.Tensor = X) -> tuple[torch.Tensor, torch.Tensor]:
    x = x.clone().requires_grad_()
    y = layer(x, key=KEY)
    (through,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), through


@pytest.mark.parametrize("per", PER.words)
def test_each_way_has_the_factor_of_the_law(per: Any) -> None:
    y, through = both_ways(ShakeDrop(0.5, (-1, 1), (0, 1), per))
    torch.testing.assert_close(y, law("alpha", -1, 1, per) * X)
    torch.testing.assert_close(through, law("beta", 0, 1, per))


def test_a_branch_that_is_not_shaken_passes_bit_for_bit_both_ways() -> None:
    y, through = both_ways(ShakeDrop(0.5))
    kept = law("alpha", -1, 1)[:, 0, 0] == 1
    assert 0 < kept.sum() < len(kept)
    assert torch.equal(y[kept], X[kept])
    assert (through[kept] == 1).all()
    assert (through[~kept] != 1).all()


def test_alpha_of_zero_drops_the_branch_but_not_its_gradient() -> None:
    """The paper's other choice, alpha = 0: a shaken branch is gone ahead, whatever it held, and learns on."""
    gone = law("alpha", 0, 0) == 0
    assert gone.any()
    y, through = both_ways(ShakeDrop(0.5, (0, 0)), torch.where(gone, math.nan, X))
    assert (y[gone] == 0).all()
    assert torch.equal(y[~gone], X[~gone])
    torch.testing.assert_close(through, law("beta", 0, 1))


def test_evaluation_scales_by_the_mean_of_the_factor() -> None:
    assert torch.equal(ShakeDrop(0.25, (-1, 1)).eval()(X), 0.75 * X)
    assert torch.equal(ShakeDrop(0.5, (0, 1)).eval()(X), 0.75 * X)
    assert torch.equal(ShakeDrop(1.0, (0, 0)).eval()(X), 0 * X)


@pytest.mark.parametrize("layer", [ShakeDrop(0.0), ShakeDrop(0.5, (1, 1)).eval()], ids=str)
def test_where_the_factor_is_one_the_input_itself_comes_back(layer: ShakeDrop) -> None:
    assert layer(X) is X


def test_at_rate_one_every_branch_is_shaken() -> None:
    y, _ = both_ways(ShakeDrop(1.0))
    torch.testing.assert_close(y, law("alpha", -1, 1, rate=1.0) * X)
    assert (law("alpha", -1, 1, rate=1.0) != 1).all()


def test_mc_shakes_in_evaluation() -> None:
    layer = ShakeDrop(0.9).eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), ShakeDrop(0.9)(X, key=KEY))
        assert not torch.equal(layer(X), layer(X))


def test_seeds_repeat_a_pass() -> None:
    torch.manual_seed(1)
    y = ShakeDrop()(X)
    torch.manual_seed(1)
    assert torch.equal(ShakeDrop()(X), y)


def test_half_is_computed_in_float32() -> None:
    y = ShakeDrop()(X.half(), key=KEY)
    assert torch.equal(y, (law("alpha", -1, 1) * X.half().float()).half())


def test_a_graph_draws_afresh() -> None:
    compiled: Any = torch.compile(ShakeDrop(1.0), backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_rates_grow_linearly_with_depth() -> None:
    """The linear decay rule: the l-th of L branches survives with 1 - l / L (1 - p_L), p_L = 0.5."""
    layers = [ShakeDrop(p) for p in dropkit.depth_rates(0.5, 4)]
    assert [1 - layer.p for layer in layers] == [1 - i / 4 * (1 - 0.5) for i in (1, 2, 3, 4)]


def test_copies_are_alike_and_keep_no_state() -> None:
    layer = ShakeDrop(0.3, (-0.5, 0.5), (0.2, 0.4), "channel")
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert layer.state_dict() == {}


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        ShakeDrop(p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ShakeDrop(alpha=(1, -1)), r"alpha is \(low, high\) with low <= high, got \(1, -1\)"),
        (lambda: ShakeDrop(beta=0.5), "beta must be a tuple of numbers"),  # type: ignore[arg-type]  # the point
        (lambda: ShakeDrop(per="pixel"), "per must be one of"),  # type: ignore[arg-type]  # the point
        (lambda: ShakeDrop()(X.long()), "input has a real floating type"),
        (lambda: ShakeDrop(per="channel")(torch.ones(3)), "axes"),
        (lambda: ShakeDrop()(X, key="x"), "key must be an int"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()
