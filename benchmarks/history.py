"""Seconds of today beside those of earlier commits on this machine: `make history`.

pytest-benchmark keeps each run in `.benchmarks` and compares the newest with the one before. Seconds drift
with the machine; docs/speed.md has ratios within one run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from dropkit.torch import functional, scaled_dot_product_attention

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.mark.parametrize("size", [64, 65_536, 1_048_576])
def test_forward(benchmark: BenchmarkFixture, size: int) -> None:
    x = torch.randn(size)
    benchmark(lambda: functional.dropout(x, 0.5))


@pytest.mark.parametrize("size", [64, 65_536, 1_048_576])
def test_forward_and_backward(benchmark: BenchmarkFixture, size: int) -> None:
    x, gradient = torch.randn(size, requires_grad=True), torch.ones(size)
    benchmark(lambda: torch.autograd.grad(functional.dropout(x, 0.5), x, gradient))


@pytest.mark.parametrize("length", [128, 1024])
def test_attention(benchmark: BenchmarkFixture, length: int) -> None:
    q, k, v = (torch.randn(1, 8, length, 64, requires_grad=True) for _ in range(3))
    gradient = torch.ones_like(q)

    def step() -> object:
        return torch.autograd.grad(scaled_dot_product_attention(q, k, v, dropout_p=0.1), (q, k, v), gradient)

    benchmark(step)
