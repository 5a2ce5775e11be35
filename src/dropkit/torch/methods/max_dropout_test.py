from typing import Any

import numpy as np
import pytest
import torch

import dropkit
from dropkit import DropkitError
from dropkit.core.reference import unit
from dropkit.methods.max_dropout import fallen
from dropkit.torch import MaxDropout

X = torch.randn(6, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("band", [0.1, 0.5, 1.0])
def test_what_numpy_lets_fall_is_0_and_the_rest_is_untouched(band: float) -> None:
    x = X.numpy()
    gone = fallen(x, x.min(), x.max(), band)
    assert np.array_equal(MaxDropout(band)(X).numpy(), np.where(gone, 0, x))


def test_a_band_that_varies_is_drawn_once_a_call_up_to_its_limit() -> None:
    x, layer = X.numpy(), MaxDropout(0.6, vary=True)
    band = 0.6 * unit(3, (1,))
    assert np.array_equal(layer(X, key=3).numpy(), np.where(fallen(x, x.min(), x.max(), band), 0, x))
    kept = [int((layer(X, key=i) != 0).sum()) for i in range(20)]
    assert len(set(kept)) > 5
    assert min(kept) >= int((MaxDropout(0.6)(X) != 0).sum())


def test_the_gradient_is_1_where_an_entry_is_kept() -> None:
    x = X.clone().requires_grad_()
    y = MaxDropout(0.5)(x)
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, (y != 0).double())


def test_evaluation_returns_the_very_input_and_mc_draws() -> None:
    layer = MaxDropout(0.5, vary=True).eval()
    assert layer(X) is X
    assert MaxDropout(0.0)(X) is X
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=1), MaxDropout(0.5, vary=True)(X, key=1))


def test_a_constant_map_and_an_empty_one_stay() -> None:
    assert torch.equal(MaxDropout(0.5)(torch.ones(4)), torch.ones(4))
    assert MaxDropout(0.5)(torch.ones(0, 3)).shape == (0, 3)


def test_half_precision_is_compared_in_float32() -> None:
    x = X.half()
    y = MaxDropout(0.3)(x)
    assert y.dtype == torch.float16
    assert torch.equal(y == 0, MaxDropout(0.3)(x.float()) == 0)


def test_it_compiles_whole() -> None:
    layer = MaxDropout(0.5, vary=True)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(X, key=4), layer(X, key=4))


@pytest.mark.parametrize("band", [-0.1, 1.1, float("nan"), None])
def test_a_band_out_of_range_is_refused(band: Any) -> None:
    with pytest.raises(DropkitError, match=r"band must be a number in \[0, 1\], got .*; write the share"):
        MaxDropout(band)
