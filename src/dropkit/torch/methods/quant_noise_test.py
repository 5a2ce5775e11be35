import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import dropkit
from dropkit import DropkitError
from dropkit.core.check import RATE
from dropkit.core.reference import mask
from dropkit.methods.quant_noise import METHOD, quant_noise, quantized
from dropkit.testing import Declared, Shapes, layer_subject
from dropkit.torch import QuantNoise

X = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))


def declare(rate: float, shape: tuple[int, ...]) -> Declared:
    split = (*shape[:1], *(n for size in shape[1:] for n in (size // 2, 2)))
    return Declared(rate, split, (1, 1, 0)[: len(split)], scale=1 / (1 - rate) if rate < 1 else 1.0)


SUBJECTS = [
    layer_subject(
        lambda rate: QuantNoise(nn.Linear(2, 2), rate, block_size=2, bits=None),
        "the proxy drops blocks",
        lambda layer, weight, **source: layer.weight_of("weight", weight, **source),
        Shapes((23, 46), ((66, 8), (4, 132))),
        declare,
        waived={**METHOD.waived, "inputs": "an array is cut into whole blocks"},
    )
]


def expected_weight(weight: torch.Tensor, p: float, size: Any, bits: int | None, key: int) -> Any:
    w = weight.detach().numpy()
    m = mask(key, w.shape, quant_noise(p, size, "none" if bits else "train")).astype(w.dtype)
    return np.where(m == 0, quantized(w, bits), w) if bits else w * m


@pytest.mark.parametrize("bits", [8, 2, None])
@pytest.mark.parametrize("size", [4, None, "kernel"])
@pytest.mark.parametrize(
    "module", [nn.Linear(16, 6), nn.Conv2d(8, 6, 3), nn.Embedding(9, 16)], ids=["linear", "conv", "table"]
)
def test_the_weights_of_a_pass_are_those_of_numpy(module: Any, size: Any, bits: int | None) -> None:
    layer = QuantNoise(module, 0.5, size, bits)
    expected = expected_weight(layer.weight, 0.5, size, bits, 3)
    torch.testing.assert_close(layer.weights(key=3)["weight"].detach(), torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("module", "bits", "size"),
    [
        (nn.Linear(16, 6), None, 8),
        (nn.Embedding(9, 16), None, 8),
        (nn.Conv2d(16, 6, 1), None, 8),
        (nn.Conv2d(16, 6, 3), None, "kernel"),
        (nn.Conv2d(3, 6, 3), None, "kernel"),
        (nn.Conv2d(6, 6, 3, groups=6), None, "kernel"),
        (nn.Conv2d(16, 6, 3), 8, None),
        (nn.Linear(3, 6), 8, None),
    ],
)
def test_blocks_are_those_of_the_authors_unless_given(module: Any, bits: int | None, size: Any) -> None:
    layer = QuantNoise(module, 0.5, bits=bits)
    expected = expected_weight(layer.weight, 0.5, size, bits, 3)
    torch.testing.assert_close(layer.weights(key=3)["weight"].detach(), torch.from_numpy(expected))


@pytest.mark.parametrize("bits", [8, None])
def test_the_gradient_goes_straight_through(bits: int | None) -> None:
    layer = QuantNoise(nn.Linear(16, 6), 0.5, 4, bits)
    layer(X, key=3).sum().backward()
    torch.testing.assert_close(layer.weight.grad, X.sum(0).expand(6, 16))


def test_weights_that_are_not_hit_keep_every_bit() -> None:
    layer = QuantNoise(nn.Linear(16, 6), 0.5, 4, 2)
    noisy, own = layer.weights(key=3)["weight"], layer.weight
    assert 0 < int((noisy == own).sum()) < own.numel()
    hit = torch.from_numpy(mask(3, (6, 16), quant_noise(0.5, 4)) == 0)
    assert torch.equal(noisy[~hit], own[~hit])


def test_evaluation_has_the_weights_or_the_quantized_ones() -> None:
    layer = QuantNoise(nn.Linear(16, 6), 0.5, 4).eval()
    assert torch.equal(layer(X), layer.module(X))
    with dropkit.mode(layer, "mc"):
        assert torch.equal(layer(X, key=3), layer.train()(X, key=3))
    whole = QuantNoise(layer.module, 0.5, 4, 3, inference="quantized").eval()
    assert len({*whole.weights()["weight"].flatten().tolist()}) <= 8
    before = whole(X)
    whole.quantize_()
    torch.testing.assert_close(whole.module(X), before)


def test_the_ends() -> None:
    none = QuantNoise(nn.Linear(16, 6), 0.0, 4, 2)
    assert torch.equal(none(X), none.module(X))
    whole = QuantNoise(nn.Linear(16, 6), 1.0, 4, None)
    assert torch.equal(whole(X), whole.bias.expand(5, 6))


def test_a_pass_never_changes_the_weight() -> None:
    """The authors' hook writes the noisy weight into the parameter."""
    layer = QuantNoise(nn.Linear(16, 6), 0.9, 4, 1)
    before = layer.weight.detach().clone()
    layer(X)
    assert torch.equal(layer.weight, before)


def test_a_copy_is_the_same_layer_and_half_types_stay() -> None:
    layer = QuantNoise(nn.Linear(16, 6), 0.5, 4, 4)
    assert torch.equal(copy.deepcopy(layer)(X, key=2), layer(X, key=2))
    assert layer.bfloat16().weights(key=2)["weight"].dtype == torch.bfloat16


def test_training_ends_where_quantization_keeps_what_matters() -> None:
    """One bit keeps two values: zero, and one for the two inputs that matter."""
    torch.manual_seed(0)
    layer = QuantNoise(nn.Linear(4, 1, bias=False), 0.5, None, 1, inference="quantized")
    x = torch.randn(256, 4)
    target = x @ torch.tensor([[1.0, 1.0, 0.0, 0.0]]).T
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    for step in range(300):
        optimizer.zero_grad()
        (layer(x, key=step) - target).square().mean().backward()
        optimizer.step()
    assert (layer.eval().weights()["weight"] != 0).tolist() == [[True, True, False, False]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block_size": 3}, "weight has inputs along its second axis that are a multiple of 3"),
        ({"block_size": 0}, "block_size must be a whole number"),
        ({"bits": 0}, "bits must be a whole number"),
        ({"bits": 17}, "bits must be a whole number"),
        ({"bits": None, "inference": "quantized"}, "inference is 'weights' where bits is None"),
        ({"inference": "quantised"}, "did you mean 'quantized'"),
        ({"names": ["bias"], "block_size": 8}, "bias has inputs along its second axis"),
        ({"names": ["bias"], "block_size": "kernel"}, "bias has inputs along its second axis"),
        ({"block_size": "kernels"}, "block_size must be a whole number"),
    ],
)
def test_what_is_wrong_is_said_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        QuantNoise(nn.Linear(16, 6), 0.5, **arguments)


def test_weights_without_bits_cannot_be_quantized() -> None:
    with pytest.raises(DropkitError, match="bits is given where weights are quantized"):
        QuantNoise(nn.Linear(16, 6), bits=None).quantize_()


@pytest.mark.parametrize("p", RATE.bad())
def test_a_rate_out_of_range_is_refused(p: Any) -> None:
    with pytest.raises(DropkitError, match=r"(p|rate) must be a number"):
        QuantNoise(nn.Linear(8, 2), p)
