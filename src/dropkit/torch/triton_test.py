"""The Triton loops decide as the reference does: in Triton's interpreter, or on a card where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dropkit.core import reference
from dropkit.core.address import Words
from dropkit.core.bind import WHOLE, Window
from dropkit.core.drop import Drop
from dropkit.core.groups import Blocks
from dropkit.core.key import Key
from dropkit.core.rate import ONE, threshold
from dropkit.core.reference import Arrays
from dropkit.torch import triton_loop

ON_CARD = torch.cuda.is_available()
DEVICE = "cuda" if ON_CARD else "cpu"
WORDS = Words(0x0123456789ABCDEF, 3, 0x7EDCBA98)
SHAPES: dict[str, list[tuple[int, ...]]] = {
    "...": [(1000,), (), (0, 3), (1,), (7, 64), (4097,)],
    "b c h w -> b c": [(3, 5, 4, 4)],
    "b t d -> b d": [(3, 4, 70)],
    "b t d -> d": [(3, 4, 70)],
    "b t d -> t b d": [(3, 4, 70)],
    "... -> ": [(3, 70)],
    "b (4 h) -> b h": [(3, 28)],
}
CASES = [(pattern, shape) for pattern, shapes in SHAPES.items() for shape in shapes]
NOISES = "bernoulli", "alpha", "gaussian", "uniform"

needs_triton = pytest.mark.skipif(not triton_loop.AVAILABLE, reason="Triton is not installed")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
interpreted = pytest.mark.skipif(
    not ON_CARD and not INTERPRETED, reason="Triton is interpreted in a process of its own"
)


def device_key(words: Words[int]) -> Words[torch.Tensor]:
    return Words(*torch.tensor(words, dtype=torch.int64, device=DEVICE).unbind())


def by_triton(
    x: torch.Tensor,
    drop: Drop,
    window: Window = WHOLE,
    scheduled: torch.Tensor | None = None,
    linear: bool = False,
) -> torch.Tensor:
    out = torch.empty_like(x)
    walk = triton_loop.plan(drop, window, tuple(x.shape), x.stride(), out.stride())
    assert walk is not None
    rate = drop.rate if isinstance(drop.rate, float) else None
    return triton_loop.run(x, out, device_key(WORDS), drop, walk, rate, scheduled, linear)


def by_reference(
    x: torch.Tensor, drop: Drop, window: Window = WHOLE, rate: float | None = None, linear: bool = False
) -> torch.Tensor:
    wide = x.cpu().to(torch.promote_types(x.dtype, torch.float32))
    at = drop.rate if rate is None else rate
    y = reference.transform(wide, drop, WORDS, at, window=window, linear=linear, arrays=Arrays(torch))
    return y.to(x.dtype).to(DEVICE)  # type: ignore[no-any-return]  # the reference serves any array


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal bit for bit, but for one rounding: the interpreter cuts bfloat16 off, a card's log is its own."""
    if found.dtype == torch.bfloat16 and not ON_CARD:
        torch.testing.assert_close(found, expected, rtol=2**-7, atol=0)
    elif torch.equal(found, expected):
        return
    else:
        torch.testing.assert_close(found, expected, rtol=4 * torch.finfo(found.dtype).eps, atol=1e-7)


@needs_triton
@interpreted
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("pattern", "shape"), CASES)
def test_the_kernels_are_equal_to_the_reference(noise: str, pattern: str, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, device=DEVICE)
    drop = Drop(0.3, pattern, noise)
    found, expected = by_triton(x, drop), by_reference(x, drop)
    if noise in ("bernoulli", "alpha"):
        assert torch.equal(found, expected)
    else:
        assert_alike(found, expected)


@needs_triton
@interpreted
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scheduled", [False, True])
def test_zero_keeps_its_sign(scheduled: bool, rate: float, noise: str) -> None:
    x = torch.tensor([0.0, -0.0, 1.0, -1.0], device=DEVICE).repeat(100)
    moves = torch.tensor(threshold(rate, torch), device=DEVICE) if scheduled else None
    for linear in (False, True):
        drop = Drop(rate, noise=noise)
        found, expected = by_triton(x, drop, WHOLE, moves, linear), by_reference(x, drop, linear=linear)
        assert torch.equal(found.signbit(), expected.signbit())


@needs_triton
@interpreted
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("pattern", ["...", "b t d -> b d"])
def test_a_drawn_key_is_one_number_and_stands_for_call_and_stream_0(pattern: str, noise: str) -> None:
    x, drop = torch.randn(3, 4, 70, device=DEVICE), Drop(0.3, pattern, noise)
    # What lies behind the number is not read.
    memory = torch.tensor([WORDS.word, 5, 6], device=DEVICE)
    out = torch.empty_like(x)
    walk = triton_loop.plan(drop, WHOLE, tuple(x.shape), x.stride(), out.stride())
    assert walk is not None
    triton_loop.run(x, out, Words(memory[0], 0, 0), drop, walk, 0.3, None, linear=False)
    words = Words(WORDS.word, 0, 0)
    expected = reference.transform(x.cpu(), drop, words, 0.3, arrays=Arrays(torch))
    assert_alike(out, expected.to(DEVICE, x.dtype))


@needs_triton
@interpreted
@pytest.mark.parametrize("rate", [0.0, 1.0, 0.5, 1e-12, 1 - 1e-12, 1 / 3])
def test_every_rate_is_exact(rate: float) -> None:
    x = torch.randn(5000, device=DEVICE)
    assert torch.equal(by_triton(x, Drop(rate)), by_reference(x, Drop(rate)))


@needs_triton
@interpreted
@pytest.mark.parametrize("place", [5, 4000])
def test_ties_of_the_high_half_are_decided_by_the_low_half(place: int) -> None:
    u = int(reference.draws(Key(*WORDS), (5000,)).u[place])
    x = torch.ones(5000, device=DEVICE)
    kept, gone = (by_triton(x, Drop(word / ONE))[place] for word in (u, u + 1))
    assert gone == 0 < kept


@needs_triton
@interpreted
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("noise", NOISES)
def test_every_type_is_computed_as_on_the_cpu(dtype: torch.dtype, noise: str) -> None:
    x = torch.randn(300, device=DEVICE).to(dtype)
    assert_alike(by_triton(x, Drop(1 / 3, noise=noise)), by_reference(x, Drop(1 / 3, noise=noise)))


@needs_triton
@interpreted
@pytest.mark.parametrize("start", [37, 2**32 - 100, 2**35 - 100, 2**57 + 5])
@pytest.mark.parametrize("noise", ["bernoulli", "gaussian"])
def test_far_groups_have_their_own_draws(start: int, noise: str) -> None:
    x, window = torch.randn(300, device=DEVICE), Window((start,))
    assert_alike(
        by_triton(x, Drop(0.4, noise=noise), window), by_reference(x, Drop(0.4, noise=noise), window)
    )


@needs_triton
@interpreted
def test_memory_may_lie_in_any_order() -> None:
    x = torch.randn(2, 3, 4, 5, device=DEVICE)
    for each in (
        x.to(memory_format=torch.channels_last),
        x.transpose(0, 3),
        x[:, ::2],
        x[:1].expand(6, 3, 4, 5),
    ):
        assert torch.equal(by_triton(each, Drop(0.4)), by_reference(each, Drop(0.4)))


@needs_triton
@interpreted
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("rate", [0.25, 1.0])
def test_a_scheduled_rate_is_read_on_the_device(noise: str, rate: float) -> None:
    x, moves = torch.randn(300, device=DEVICE), torch.tensor(threshold(rate, torch), device=DEVICE)
    found = by_triton(x, Drop(0.0, noise=noise), scheduled=moves)
    assert_alike(found, by_reference(x, Drop(0.0, noise=noise), rate=rate))


@needs_triton
@interpreted
def test_the_gradients_map_has_no_offset() -> None:
    x = torch.randn(300, device=DEVICE)
    drop = Drop(0.4, noise="alpha")
    assert torch.equal(by_triton(x, drop, linear=True), by_reference(x, drop, linear=True))


@needs_triton
@interpreted
def test_infinities_and_nan_do_not_survive_being_dropped() -> None:
    x = torch.tensor([float("inf"), float("nan")], device=DEVICE).repeat(500)
    for noise in NOISES:
        assert by_triton(x, Drop(1.0, noise=noise)).eq(0).all()


def test_other_geometries_stay_with_torch() -> None:
    assert triton_loop.plan(Drop(0.5, Blocks(2)), WHOLE, (1, 4, 4), (16, 4, 1), (16, 4, 1)) is None


@pytest.mark.skipif(
    ON_CARD or INTERPRETED or not triton_loop.AVAILABLE,
    reason="needs Triton and no card: else it is this process that runs all of it",
)
def test_all_of_this_holds_in_tritons_interpreter() -> None:
    """In a process of its own: Triton decides at import whether it interprets."""
    options = "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, __file__],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stdout[-3000:]
