import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import dropkit
from dropkit.core import reference
from dropkit.torch import functional, native

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
    key = KEYS[1]
    for layout, x in layouts(X.double()).items():
        error = functional.drop(x, drop, key=key) - expected(x, drop, key)
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


HALVES = [torch.float16, torch.bfloat16]
FLOATS = [torch.float32, torch.float64, *HALVES]
needs_native = pytest.mark.skipif(not native.AVAILABLE, reason="built without a C++ compiler")


@needs_native
@pytest.mark.parametrize("groups", GROUPS[:6])
@pytest.mark.parametrize("noise", ["bernoulli", "alpha", "gaussian", "uniform"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_type_and_layout_goes_down_to_the_loop(groups: str, noise: str, dtype: torch.dtype) -> None:
    for x in layouts(X.to(dtype)).values():
        out, drop = torch.empty_like(x), dropkit.Drop(0.5, groups, noise)
        args = dtype, x.shape, x.stride(), out.stride()
        assert native.plan(drop, dropkit.Window(), 0.5, *args, False) is not None


@pytest.mark.skipif(
    not (native.AVAILABLE and sys.platform == "linux" and "OpenMP" in torch.__config__.parallel_info()),
    reason="elsewhere torch may have no OpenMP",
)
def test_the_threads_are_those_of_torch() -> None:
    assert native.shares_threads()


def test_other_geometries_stay_with_the_twin() -> None:
    x = torch.ones(2, 8, 8)
    args = torch.float32, x.shape, x.stride(), x.stride()
    assert native.plan(dropkit.Drop(0.5, dropkit.Blocks(2)), dropkit.Window(), 0.5, *args, False) is None


@pytest.fixture(params=native.instruction_sets())
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    native.use_instructions(request.param)
    yield request.param
    native.use_instructions(native.instruction_sets()[0])


def every_half(dtype: torch.dtype) -> Tensor:
    """All 65,536 of them: small ones, infinities and NaN too."""
    return torch.arange(2**16).to(torch.uint16).view(dtype)


@needs_native
@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("noise", ["bernoulli", "alpha"])
@pytest.mark.parametrize("rate", [2.0**-32, 0.1, 1 / 3, 0.75, 0.999, 1.0])  # all are kept; ties at 3 / 2
def test_every_half_is_rounded_as_torch_rounds_it(
    instructions: str, dtype: torch.dtype, noise: str, rate: float
) -> None:
    x, drop = every_half(dtype), dropkit.Drop(rate, noise=noise)
    found = functional.drop(x, drop, key=3)
    wide = reference.transform(
        x.float(), drop, dropkit.Key(3).words, rate, arrays=reference.Arrays(torch)
    ).to(dtype)
    torch.testing.assert_close(found, wide, rtol=0, atol=0, equal_nan=True)


@needs_native
@pytest.mark.parametrize("noise", ["gaussian", "uniform"])
@pytest.mark.parametrize("start", [0, 37, 2**32 - 100, 2**35 - 100, 2**57 + 5])
def test_factors_of_every_set_are_within_ulps_of_the_reference(
    instructions: str, noise: str, start: int
) -> None:
    n = 100_000
    drop, window = dropkit.Drop(0.3, noise=noise), dropkit.Window((start,))
    found = functional.drop(torch.ones(n, dtype=torch.float64), drop, key=3, window=window)
    exact = torch.from_numpy(reference.mask(3, (n,), drop, window=window))
    # 2 ulp of the logarithm, half of the root, 2 of the cosine, 2 of the reference's turn; factors below 7.
    assert (found - exact).abs().max() <= 32 * torch.finfo(torch.float64).eps


@pytest.mark.parametrize("groups", ["...", "... ->"])
@pytest.mark.parametrize("noise", ["bernoulli", "gaussian", "uniform"])
def test_infinities_and_nan_do_not_survive_a_factor_of_0(engine: str, noise: str, groups: str) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf]).repeat(50)
    assert torch.equal(functional.drop(x, dropkit.Drop(1.0, groups, noise), key=1), torch.zeros(150))


@needs_native
def test_entries_past_two_to_the_32_have_their_own_draws(instructions: str) -> None:
    for start in (2**32 - 70, 2**38 - 70, 2**62):
        window = dropkit.Window((start,))
        found = functional.drop(torch.ones(200), dropkit.Drop(0.3), key=3, window=window)
        assert torch.equal(
            found, torch.from_numpy(reference.mask(3, (200,), dropkit.Drop(0.3), window=window)).float()
        )


SHARED = {
    "expanded": lambda: torch.ones(3).expand(4, 3),
    "overlapping": lambda: torch.ones(6).as_strided((4, 3), (1, 1)),
}


@pytest.mark.parametrize("shared", SHARED)
def test_memory_that_entries_share_is_not_written_in_place(engine: str, shared: str) -> None:
    x = SHARED[shared]()
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="entries share memory"):
        functional.dropout(x, 0.5, inplace=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, torch.ones_like(x))


def test_interleaved_entries_that_share_nothing_are_written_in_place(engine: str) -> None:
    x = torch.ones(8).as_strided((3, 2), (2, 3))
    expected_ = functional.dropout(x.clone(), 0.5, key=1)
    assert torch.equal(functional.dropout(x, 0.5, key=1, inplace=True), expected_)


@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_more_axes_than_the_loop_walks_are_served_by_the_twin(noise: str) -> None:
    names = [f"a{i}" for i in range(18)]
    every_other = dropkit.Drop(0.5, f"{' '.join(names)} -> {' '.join(names[::2])}", noise)
    turned = torch.arange(17).flip(0).tolist()
    for drop, x in (
        (every_other, torch.ones([2] * 18)),
        (dropkit.Drop(0.5, noise=noise), torch.ones([2] * 17).permute(*turned)),
    ):
        found = functional.drop(x, drop, key=1).numpy()
        expected = dropkit.mask(1, x.shape, drop, dtype="float32")
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
