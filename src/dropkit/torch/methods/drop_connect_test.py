from typing import Any

import pytest
import torch
from torch import nn

import dropkit
from dropkit import Drop, DropkitError, Key
from dropkit.core.check import RATE
from dropkit.methods.drop_connect import drop_connect, preactivation_variance
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import DropConnect, draws

X = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    return Declared(rate, shape, (1,) * len(shape), scale=1 / (1 - rate) if rate < 1 else 1.0)


def weight_of(layer: DropConnect, weight: torch.Tensor, **source: Any) -> torch.Tensor:
    return layer.weight_of("weight", weight, **source)


SUBJECTS = [
    layer_subject(
        lambda rate: DropConnect(nn.Linear(2, 2), rate),
        "weights of a linear layer",
        weight_of,
        Shapes((23, 23), ((66, 4), (4, 66))),
        declare,
    )
]


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_the_mask_is_that_of_numpy(per: Any) -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.4, per=per)
    shape = (5, 3, 6) if per == "sample" else (3, 6)
    weight = layer.weight * torch.from_numpy(dropkit.mask(7, shape, drop_connect(0.4))).float()
    expected = (weight.expand(5, 3, 6) @ X[..., None])[..., 0] + layer.bias
    torch.testing.assert_close(layer(X, key=7), expected)


def test_samples_share_their_mask_along_the_other_axes() -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.4, per="sample")
    x = X[:, None].expand(5, 4, 6)
    y = layer(x, key=7)
    torch.testing.assert_close(y, y[:, :1].expand(5, 4, 3))
    torch.testing.assert_close(y[:, 0], layer(X, key=7))
    assert layer(X[0], key=7).shape == (3,)
    torch.testing.assert_close(layer(X[0], key=7), layer(X[:1], key=7)[0])


@pytest.mark.parametrize(
    ("module", "x"),
    [
        (nn.Linear(6, 3), X),
        (nn.Linear(6, 3, bias=False), X),
        (nn.Conv2d(2, 4, 3, stride=2, groups=2), torch.randn(2, 2, 7, 7)),
        (nn.Conv1d(3, 2, 3, padding=1, padding_mode="reflect"), torch.randn(2, 3, 8)),
    ],
    ids=["linear", "no bias", "conv2d", "reflecting conv1d"],
)
def test_inference_draws_with_the_moments_of_the_masked_layer(module: nn.Module, x: torch.Tensor) -> None:
    layer = DropConnect(module, 0.3, inference="gaussian").eval().double()
    x = x.double()
    mean = layer.module(x)
    z = draws.normal(mean, (1, *mean.shape), key=4)[0]
    bias = layer.bias if layer.bias is not None else torch.zeros(mean.shape[1]).double()
    # The derivative of an output by each weight is the input that the weight meets.
    jacobian = torch.func.jacrev(
        lambda weight: torch.func.functional_call(layer.module, {"weight": weight}, (x,))
    )(layer.weight)
    terms = (jacobian * layer.weight).flatten(mean.dim())
    assert torch.allclose(
        terms.sum(-1), mean - bias.reshape(-1, *(1,) * (mean.dim() - 2)) if mean.dim() > 2 else mean - bias
    )
    variance = preactivation_variance(terms.square().sum(-1), 0.3)
    torch.testing.assert_close(layer(x, key=4), mean + variance.sqrt() * z)


def test_draws_are_averaged_behind_the_activation() -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.5, inference="gaussian", samples=7, activation=torch.relu).eval()
    mean = layer.module(X)
    deviation = preactivation_variance((X**2) @ (layer.weight**2).T, 0.5).sqrt()
    z = draws.normal(mean, (7, 5, 3), key=2).float()
    torch.testing.assert_close(layer(X, key=2), torch.relu(mean + deviation * z).mean(0))
    assert torch.equal(layer.train()(X, key=2), torch.relu(DropConnect(layer.module, 0.5)(X, key=2)))


def test_mean_inference_is_the_layer_and_draws_nothing() -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.5).eval()
    before = torch.get_rng_state()
    assert torch.equal(layer(X), layer.module(X))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_the_ends(per: Any) -> None:
    whole = DropConnect(nn.Linear(6, 3), 1.0, per=per)
    assert torch.equal(whole(X), whole.bias.expand(5, 3))
    none = DropConnect(nn.Linear(6, 3), 0.0, per=per, inference="gaussian")
    torch.testing.assert_close(none(X), none.module(X))
    assert torch.equal(none.eval()(X), none.module(X))


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_the_gradient_is_the_mask_times_the_input(per: Any) -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.4, per=per)
    layer(X, key=7).sum().backward()
    shape = (5, 3, 6) if per == "sample" else (1, 3, 6)
    m = torch.from_numpy(dropkit.mask(7, shape, Drop(0.4))).float().expand(5, 3, 6)
    torch.testing.assert_close(layer.weight.grad, (m * X[:, None]).sum(0))


def test_monte_carlo_passes_draw_masks_also_where_inference_is_gaussian() -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.5, inference="gaussian").eval()
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=Key(1)), layer.train()(X, key=Key(1)))


def test_half_types_come_back_as_they_are() -> None:
    layer = DropConnect(nn.Linear(6, 3), 0.5, inference="gaussian", samples=2).bfloat16()
    x = X.bfloat16()
    assert layer(x).dtype == layer.eval()(x).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        for mode in (layer.float(), DropConnect(layer.module, 0.5, per="sample"), layer.train()):
            assert mode(X).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (nn.LSTM(2, 2), {}, "nn.Linear or a convolution, got 'LSTM'; .*WeightDrop"),
        (nn.Conv2d(2, 2, 1), {"per": "sample"}, "is an nn.Linear where per='sample'"),
        (nn.Linear(2, 2), {"per": "row"}, "per must be one of"),
        (nn.Linear(2, 2), {"inference": "sampled"}, "inference must be one of"),
        (nn.Linear(2, 2), {"samples": 3}, "samples is 1 where nothing is drawn"),
        (nn.Linear(2, 2), {"inference": "gaussian", "samples": 0}, "samples must be a whole number"),
    ],
)
def test_what_is_wrong_is_said_at_construction(module: nn.Module, arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        DropConnect(module, 0.5, **arguments)


@pytest.mark.parametrize("p", [value for value in RATE.bad() if value is not None])
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match="p must be a number"):
        DropConnect(nn.Linear(2, 2), p)
