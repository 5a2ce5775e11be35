from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import dropkit
from dropkit.core import reference
from dropkit.torch import functional, native
from dropkit.torch import run as running

GROUPS: tuple[Any, ...] = (
    "...",
    "b c ... -> b c",
    "b ... -> b",
    "... ->",
    "b c h w -> w c b",
    "b (c 2) h w -> c h",
    dropkit.Blocks(3),
    dropkit.Blocks((2, 4), pattern="b c h w -> b h w"),
    dropkit.KofN(over="w"),
)
KEYS = (5, dropkit.Key(2**64 - 1, 3, 4))
SHAPE = (3, 8, 6, 7)
X = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["native", "twin"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "native" and not native.AVAILABLE:
        pytest.skip("built without a C++ compiler")
    monkeypatch.setattr(native, "AVAILABLE", request.param == "native")
    running._loop.cache_clear()
    yield request.param
    running._loop.cache_clear()


def layouts(x: Tensor) -> dict[str, Tensor]:
    """The same entries, lying in memory in different orders."""
    gaps = torch.full((*x.shape[:-1], 2 * x.shape[-1]), torch.nan, dtype=x.dtype)[..., ::2]
    return {
        "contiguous": x,
        "channels last": x.to(memory_format=torch.channels_last),
        "reversed": x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        "transposed inside": x.transpose(1, 2).contiguous().transpose(1, 2),
        "gaps": gaps.copy_(x),
        "part": torch.cat([x, x], 1)[:, : x.shape[1]],
        "negated lazily": torch._neg_view(-x),
    }


def expected(x: Tensor, drop: dropkit.Drop, key: int | dropkit.Key) -> Tensor:
    return torch.from_numpy(reference.apply(np.ascontiguousarray(x.resolve_neg().numpy()), drop, key))


@pytest.mark.parametrize("groups", GROUPS, ids=str)
@pytest.mark.parametrize("noise", ["bernoulli", "alpha"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_decisions_equal_the_reference_bit_for_bit(
    engine: str, groups: Any, noise: str, dtype: torch.dtype
) -> None:
    drop = dropkit.Drop(0.3, groups, noise)
    for key in KEYS:
        for layout, x in layouts(X.to(dtype)).items():
            assert torch.equal(functional.drop(x, drop, key=key), expected(x, drop, key)), layout


@pytest.mark.parametrize("groups", ["...", "b c ... -> b c", "... ->", "b (c 2) h w -> c h"])
@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
def test_continuous_noises_equal_the_reference_within_an_ulp(engine: str, groups: str, noise: str) -> None:
    drop = dropkit.Drop(0.3, groups, noise)
    for layout, x in layouts(X.double()).items():
        error = functional.drop(x, drop, key=5) - expected(x, drop, 5)
        # sqrt, log and cos of two libraries, each right to an ulp or so, times factors of at most 7.
        assert error.abs().max() < 64 * torch.finfo(torch.float64).eps * x.abs().max(), layout


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian", "uniform"])
def test_half_types_are_within_2_ulp_of_float32(engine: str, dtype: torch.dtype, noise: str) -> None:
    drop, x = dropkit.Drop(0.1, noise=noise), X.to(dtype)
    exact = expected(x.float(), drop, 3).to(dtype)
    ulps = functional.drop(x, drop, key=3).view(torch.int16).int() - exact.view(torch.int16).int()
    assert ulps.abs().max() <= 2


@pytest.mark.parametrize("rate", [2.0**-32, 2.0**-33, 1e-10, 0.5, 1 - 2.0**-33, 1.0])
@pytest.mark.parametrize("scale", ["train", "eval", "none"])
def test_every_rate_and_scale_equals_the_reference(engine: str, rate: float, scale: Any) -> None:
    drop = dropkit.Drop(rate, scale=scale)
    assert torch.equal(functional.drop(X, drop, key=1), expected(X, drop, 1))


def test_a_rate_for_each_channel_equals_the_reference(engine: str) -> None:
    drop = dropkit.Drop(dropkit.PerAxis(tuple(i / 8 for i in range(8)), over="c"), "b c ... -> b c")
    assert torch.equal(functional.drop(X, drop, key=1), expected(X, drop, 1))


@pytest.mark.parametrize("layout", ["contiguous", "channels last", "reversed", "gaps"])
def test_the_result_and_its_gradient_lie_as_torch_would_lay_them(engine: str, layout: str) -> None:
    x = layouts(X)[layout].detach().requires_grad_()
    y = functional.dropout(x, key=2)
    assert y.stride() == torch.empty_like(x).stride() == torch.nn.functional.dropout(x).stride()
    (grad,) = torch.autograd.grad(y, x, y.detach())
    assert grad.stride() == y.stride()


def test_a_part_has_the_mask_that_it_has_in_the_whole(engine: str) -> None:
    drop = dropkit.Drop(0.5, "b c ... -> b c")
    whole = functional.drop(torch.ones(SHAPE), drop, key=4)
    window = dropkit.Window((0, 3), SHAPE)
    part = functional.drop(torch.ones(3, 2, 6, 7), drop, key=4, window=window)
    assert torch.equal(part, whole[:, 3:5])


@pytest.mark.parametrize("groups", ["...", "b ... -> b", "b d -> d"])
def test_threads_do_not_change_the_mask(groups: str) -> None:
    x, drop = torch.ones(512, 1024), dropkit.Drop(0.3, groups)
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(functional.drop(x, drop, key=9))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*results)


@pytest.mark.skipif(not native.AVAILABLE, reason="built without a C++ compiler")
@pytest.mark.parametrize("shape", [(), (1,), (64,), (3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dense_calls_go_down_to_the_loop(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    x = torch.ones(shape, dtype=dtype)
    drop = dropkit.Drop(0.5)
    assert native.plan(drop, dropkit.Window(), 0.5, dtype, x.shape, x.stride(), False) is not None
    gaps = tuple(2 * stride for stride in x.stride())
    assert (
        shape in ((), (1,)) or native.plan(drop, dropkit.Window(), 0.5, dtype, x.shape, gaps, False) is None
    )
