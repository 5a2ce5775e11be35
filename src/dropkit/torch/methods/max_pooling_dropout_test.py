import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit.core.boxes import tiles
from dropkit.core.check import RATE, DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import draws
from dropkit.methods.max_pooling_dropout import strongest
from dropkit.torch import MaxPoolingDropout

KEY = Key(3)
SHAPE = (3, 2, 6, 4)
X = torch.rand(SHAPE, generator=torch.Generator().manual_seed(0))


def gone(rate: float = 0.5) -> np.ndarray:
    return np.asarray(draws(KEY, SHAPE, "...").below(rate))


def test_each_region_passes_what_the_law_says() -> None:
    y = MaxPoolingDropout(0.5)(X, key=KEY)
    law = strongest(tiles(X.numpy(), 2), tiles(gone(), 2))
    assert np.array_equal(y.numpy(), law)
    assert (y == 0).any()


def test_units_below_zero_are_compared_as_they_are() -> None:
    x = X - 0.8
    y = MaxPoolingDropout(0.5)(x, key=KEY)
    assert np.array_equal(y.numpy(), strongest(tiles(x.numpy(), 2), tiles(gone(), 2)))
    assert (y < 0).any()


def test_overlapping_regions_lose_the_same_units() -> None:
    y = MaxPoolingDropout(0.5, 3, 1)(X, key=KEY).numpy()
    windows = (np.lib.stride_tricks.sliding_window_view(a, (3, 3), (2, 3)) for a in (X.numpy(), gone()))
    regions, lost = (window.reshape(*window.shape[:4], 9) for window in windows)
    assert np.array_equal(y, strongest(regions, lost))


def test_evaluation_is_the_mean_over_every_mask() -> None:
    region = torch.tensor([1.0, 3.0, 2.0, -5.0])
    masks = torch.tensor([[m >> i & 1 for i in range(4)] for m in range(16)], dtype=torch.bool)
    weights = torch.where(masks, 0.3, 0.7).prod(1)
    passed = torch.from_numpy(strongest(region.expand(16, 4).numpy(), masks.numpy())).float()
    y = MaxPoolingDropout(0.3).eval()(region.reshape(1, 1, 2, 2))
    torch.testing.assert_close(y.squeeze(), weights @ passed)


def test_the_gradient_goes_to_the_unit_that_passed() -> None:
    x = X.clone().requires_grad_()
    y = MaxPoolingDropout(0.5)(x, key=KEY)
    (through,) = torch.autograd.grad(y.sum(), x)
    assert set(through.flatten().tolist()) == {0.0, 1.0}
    # The rest of each region adds zeros, and a quarter times four is exact.
    assert torch.equal(torch.nn.functional.avg_pool2d(through * X, 2) * 4, y.detach())
    assert int(through.sum()) == int((y > 0).sum())
    assert not (through.numpy().astype(bool) & gone()).any()


def test_the_gradient_of_evaluation_is_the_weights() -> None:
    torch.autograd.gradcheck(MaxPoolingDropout(0.4).eval(), X.double().requires_grad_())


def test_at_rate_zero_it_is_max_pooling_and_at_one_nothing_is_left() -> None:
    assert torch.equal(MaxPoolingDropout(0.0, 2)(X), torch.nn.functional.max_pool2d(X, 2))
    assert torch.equal(MaxPoolingDropout(0.0, 2).eval()(X), torch.nn.functional.max_pool2d(X, 2))
    for layer in (MaxPoolingDropout(1.0), MaxPoolingDropout(1.0).eval()):
        assert (layer(X) == 0).all()


def test_a_unit_that_fell_leaves_no_nan() -> None:
    x = torch.where(torch.from_numpy(gone()), math.nan, X)
    assert torch.equal(MaxPoolingDropout(0.5)(x, key=KEY), MaxPoolingDropout(0.5)(X, key=KEY))


def test_mc_draws_in_evaluation_and_seeds_repeat_it() -> None:
    layer = MaxPoolingDropout(0.5).eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=KEY), MaxPoolingDropout(0.5)(X, key=KEY))
        torch.manual_seed(0)
        y = layer(X)
        torch.manual_seed(0)
        assert torch.equal(layer(X), y)


def test_half_and_graphs_pool_alike() -> None:
    layer = MaxPoolingDropout(0.5)
    assert torch.equal(layer(X.half(), key=KEY), layer(X, key=KEY).half())
    assert layer.eval()(X.bfloat16()).dtype == torch.bfloat16
    compiled: Any = torch.compile(MaxPoolingDropout(0.5), backend="aot_eager", fullgraph=True)
    assert not torch.equal(compiled(X), compiled(X))


def test_copies_pool_alike_and_the_input_stays() -> None:
    layer, before = MaxPoolingDropout(0.5, (3, 2), (1, 2)), X.clone()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(X, key=KEY), layer(X, key=KEY))
        assert repr(twin) == repr(layer)
    assert torch.equal(X, before)


@pytest.mark.parametrize("p", RATE.bad(), ids=str)
def test_a_wrong_rate_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number in"):
        MaxPoolingDropout(p)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MaxPoolingDropout(0.5, 0), "kernel_size must be a whole number of at least 1"),
        (lambda: MaxPoolingDropout(0.5, (2, 2, 2)), r"kernel_size is one number, or \(height, width\)"),  # type: ignore[arg-type]  # the point
        (lambda: MaxPoolingDropout(0.5, 2, 0.5), "stride must be a whole number"),  # type: ignore[arg-type]  # the point
        (lambda: MaxPoolingDropout()(X[0]), "input has the 4 axes 'b c h w'"),
        (lambda: MaxPoolingDropout(0.5, 5)(X), r"input has maps of at least one region, \(5, 5\)"),
        (lambda: MaxPoolingDropout()(X[:, :, :0]), "input has maps of at least one region"),
        (lambda: MaxPoolingDropout()(X.long()), "input has a real floating type"),
    ],
)
def test_bad_input_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        build()


def test_an_empty_batch_passes() -> None:
    assert MaxPoolingDropout()(X[:0]).shape == (0, 2, 3, 2)
    assert MaxPoolingDropout().eval()(X[:0]).shape == (0, 2, 3, 2)
