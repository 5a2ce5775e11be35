from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dropkit.core.local import deviation
from dropkit.core.reference import normal
from dropkit.torch import FastDropout, OrderedDropout, Thinned, VariationalLinear
from dropkit.torch.local import sample, variance


def test_a_sample_is_the_mean_and_the_reference_draws_times_the_deviation() -> None:
    mean, spread = torch.randn(3, 4).double(), torch.rand(3, 4).double()
    expected = mean.numpy() + deviation(spread.numpy()) * normal(5, (3, 4))
    assert np.allclose(sample(mean, spread, key=5).numpy(), expected, rtol=1e-14, atol=0)


def test_an_output_without_variance_has_a_finite_gradient() -> None:
    spread = torch.tensor([0.0, 1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(sample(torch.ones(2), spread, key=1).sum(), spread)
    assert slope[0] == 0
    assert slope[1] == normal(1, (2,))[1].astype(np.float32) / 2


def test_squares_of_half_precision_stay_finite() -> None:
    x, weight = torch.full((1, 2), 300.0, dtype=torch.float16), torch.ones(1, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spread = variance(x, weight, 0.5)
    assert spread.dtype == torch.float32
    assert spread.item() == 90_000


@pytest.mark.parametrize(
    "make",
    [
        lambda: FastDropout(nn.Linear(4, 4), 0.5),
        lambda: VariationalLinear(nn.Linear(4, 4), rows=10),
        lambda: OrderedDropout(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))),
        lambda: Thinned(nn.Linear(4, 4), nn.Linear(4, 4), 0.5, contiguous=True),
    ],
)
def test_meta_tensors_have_shapes_alone(make: Callable[[], nn.Module]) -> None:
    layer = make().to("meta")
    y = layer(torch.ones(2, 4, device="meta"))
    assert (y.device.type, tuple(y.shape)) == ("meta", (2, 4))
