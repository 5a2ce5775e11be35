import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.boxes import tiles
from dropkit.core.check import DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import unit
from dropkit.methods.stochastic_pooling import chosen, shares
from dropkit.torch import StochasticPooling

KEY = Key(5)
SHAPE = (3, 2, 6, 8)
# Small whole numbers, whose sums are exact in every order; a third of them below 0.
X = torch.randint(-4, 9, SHAPE, generator=torch.Generator().manual_seed(2)).float()


def test_each_region_passes_the_unit_of_the_law() -> None:
    regions = tiles(X.numpy(), 2)
    index = chosen(regions, unit(KEY, regions.shape[:-1]))
    padded = np.concatenate([regions, np.zeros((*regions.shape[:-1], 1))], -1)
    law = np.take_along_axis(padded, index[..., None], -1)[..., 0]
    assert np.array_equal(StochasticPooling()(X, key=KEY).numpy(), law)


def test_evaluation_is_the_mean_weighted_by_the_shares() -> None:
    regions = tiles(X.numpy(), 2)
    law = (shares(regions) * regions.clip(0)).sum(-1)
    np.testing.assert_allclose(StochasticPooling().eval()(X).numpy(), law, rtol=1e-6)


def test_overlapping_regions_draw_for_themselves() -> None:
    y = StochasticPooling(3, 1)(torch.ones(1, 1, 9, 9), key=KEY)
    assert torch.equal(y, torch.ones(1, 1, 7, 7))
    x = torch.arange(1.0, 82.0).reshape(1, 1, 9, 9)
    assert len(StochasticPooling(9)(x.repeat(40, 1, 1, 1), key=KEY).unique()) > 20


def test_the_gradient_goes_to_the_unit_that_passed() -> None:
    x = X.clone().requires_grad_()
    y = StochasticPooling()(x, key=KEY)
    (through,) = torch.autograd.grad(y.sum(), x)
    assert set(through.flatten().tolist()) == {0.0, 1.0}
    per_region = torch.nn.functional.avg_pool2d(through, 2) * 4
    assert torch.equal(per_region, (y > 0).float())
    assert torch.equal(torch.nn.functional.avg_pool2d(through * X, 2) * 4, y.detach())


def test_the_gradient_of_evaluation_is_that_of_its_formula() -> None:
    x = (X.double().abs() + 0.5).requires_grad_()
    torch.autograd.gradcheck(StochasticPooling().eval(), x)


def test_a_region_without_activation_gives_nothing_and_a_finite_gradient() -> None:
    x = (-X.abs()).requires_grad_()
    for layer in (StochasticPooling(), StochasticPooling().eval()):
        y = layer(x)
        (through,) = torch.autograd.grad(y.sum(), x)
        assert (y == 0).all()
        assert (through == 0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("training", [True, False])
def test_what_is_not_finite_shows(value: float, training: bool) -> None:
    x = X.clone()
    x[0, 0, 0, 0] = value
    y = StochasticPooling().train(training)(x)
    assert not y[0, 0, 0, 0].isfinite()
    assert int(y.isfinite().sum()) == y.numel() - 1


def test_mc_draws_in_evaluation_and_seeds_repeat_it() -> None:
    layer = StochasticPooling().eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), StochasticPooling()(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        assert not torch.equal(layer(X), y)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_half_and_graphs_pool_alike() -> None:
    layer = StochasticPooling()
    assert torch.equal(layer(X.half(), key=KEY), layer(X, key=KEY).half())
    assert layer.eval()(X.bfloat16()).dtype == torch.bfloat16
    compiled: Any = torch.compile(StochasticPooling(), backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_pool_alike_and_the_input_stays() -> None:
    layer, before = StochasticPooling((2, 4), 2), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StochasticPooling(0), "kernel_size must be a whole number of at least 1"),
        (lambda: StochasticPooling(2, (1, -1)), "stride must be a whole number of at least 1"),
        (lambda: StochasticPooling(7)(X), "input has maps of at least one region"),
        (lambda: StochasticPooling()(X[0]), "input has the 4 axes"),
        (lambda: StochasticPooling()(X.long()), "input has a real floating type"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


def test_an_empty_batch_passes() -> None:
    assert StochasticPooling()(X[:0]).shape == (0, 2, 3, 4)
