from typing import Any

import numpy as np
import pytest

from dropkit.core.check import DropkitError, Whole
from dropkit.core.reference import mask
from dropkit.methods.quant_noise import quant_noise, quantized

W = np.random.default_rng(1).normal(size=(6, 16))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_at_most_two_to_the_bits_values_are_left_and_none_is_farther_than_half_a_step(bits: int) -> None:
    q = quantized(W, bits)
    step = (W.max() - W.min()) / (2**bits - 1)
    assert len(np.unique(q)) <= 2**bits
    # Rounding the zero point costs another half step at the two ends.
    assert abs(q - W).max() <= step * (1 + 1e-9)
    assert np.allclose(q / step, np.round(q / step), atol=1e-6)


def test_zero_stays_zero_and_what_is_quantized_stays_so() -> None:
    w = np.append(W.ravel(), 0.0)
    q = quantized(w, 4)
    assert q[-1] == 0
    assert np.allclose(quantized(q, 4), q)


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_constant_weight_stays(value: float) -> None:
    assert quantized(np.full(3, value), 8) == pytest.approx(np.full(3, value), rel=1e-12)


def test_a_block_is_hit_as_one() -> None:
    drawn = mask(3, (32, 16, 3, 3), quant_noise(0.5, 4))
    blocks = drawn.reshape(32, 4, -1)
    assert np.array_equal(blocks, np.broadcast_to(blocks[:, :, :1], blocks.shape))
    assert len(np.unique(blocks[:, :, 0])) == 2
    kernels = mask(3, (32, 16, 3, 3), quant_noise(0.5, "kernel")).reshape(32, 16, 9)
    assert np.array_equal(kernels, np.broadcast_to(kernels[:, :, :1], kernels.shape))
    assert len(np.unique(kernels[:, :, 0].reshape(32, 4, 4).std(2))) > 1
    single = mask(3, (32, 16), quant_noise(0.5, None))
    assert len(np.unique(single.reshape(32, 4, 4).std(2))) > 1


def test_the_proxy_keeps_the_mean() -> None:
    moments = quant_noise(0.3, 4, "train").noise.moments(0.3, "train")
    assert moments.mean == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("bits", Whole(1, "", below=17).bad())
def test_an_impossible_number_of_bits_is_refused(bits: Any) -> None:
    with pytest.raises(DropkitError, match="bits must be a whole number"):
        quantized(W, bits)


@pytest.mark.parametrize("size", [value for value in Whole(1, "").bad() if value is not None])
def test_an_impossible_block_is_refused(size: Any) -> None:
    with pytest.raises(DropkitError, match="block_size must be a whole number"):
        quant_noise(0.5, size)
