"""The NumPy reference against PyTorch, kernel and twin: the same key gives the same mask everywhere."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dropkit
from dropkit import Blocks, Drop, Key, KofN, PerAxis, Window
from dropkit.core.address import uniform
from dropkit.core.reference import apply
from dropkit.torch import functional

Array = np.ndarray[Any, Any]

SHAPE = (4, 6, 8, 9)
ONE_A_CHANNEL = PerAxis((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), over="c")
DECIDING = [
    Drop(0.5),
    Drop(0.1),
    Drop(0),
    Drop(1),
    Drop(2**-17),
    Drop(0.3, "b c ... -> b c"),
    Drop(0.3, "b ... -> b"),
    Drop(0.3, "b c h w -> w c"),
    Drop(0.3, "b c (h 4) w -> c h"),
    Drop(0.3, "... -> "),
    Drop(0.2, Blocks((3, 4), over="h w")),
    Drop(0.2, Blocks(2, pattern="b c h w -> b h w")),
    Drop(0.2, Blocks(3, published=True)),
    Drop(None, KofN(3, over="c", pattern="b c h w -> b c")),
    Drop(0.45, KofN(over="w")),
    Drop(ONE_A_CHANNEL, "b c h w -> b c"),
    Drop(0.5, scale="eval"),
    Drop(0.5, scale="none"),
    Drop(0.3, noise="alpha"),
    Drop(0.3, "b c ... -> b c", noise="alpha"),
]
CONTINUOUS = [
    Drop(0.3, noise="gaussian"),
    Drop(ONE_A_CHANNEL, "b c h w -> b c", noise="gaussian"),
    Drop(0.3, "b ... -> b", noise="uniform"),
]
LAYOUTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0),
    "sliced": lambda x: torch.stack([x, x], -1)[..., 0],
    "expanded": lambda x: x[:1].expand(SHAPE),
}
DTYPES = {torch.float64: np.float64, torch.float32: np.float32, torch.float16: np.float16}


def some(dtype: Any = np.float64, shape: tuple[int, ...] = SHAPE) -> Array:
    numbers = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    numbers.reshape(-1)[::7] = -0.0
    return numbers


def assert_equal_bits(found: Array, expected: Array) -> None:
    """Equal, the sign of zero too."""
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("drop", DECIDING, ids=str)
def test_values_are_equal_bit_for_bit(drop: Drop, dtype: torch.dtype, layout: str, engine: str) -> None:
    x = LAYOUTS[layout](torch.from_numpy(some(DTYPES[dtype])))
    y = functional.drop(x, drop, key=7)
    assert (y.dtype, y.shape) == (dtype, x.shape)
    assert_equal_bits(y.numpy(), apply(x.numpy(), drop, 7))


@pytest.mark.parametrize("drop", DECIDING[:6], ids=str)
def test_bfloat16_has_the_same_mask(drop: Drop, engine: str) -> None:
    y = functional.drop(torch.ones(SHAPE, dtype=torch.bfloat16), drop, key=7)
    np.testing.assert_array_equal((y == 0).numpy(), dropkit.mask(7, SHAPE, drop) == 0)


@pytest.mark.parametrize("drop", CONTINUOUS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_continuous_noises_are_equal_within_ulps(drop: Drop, dtype: torch.dtype, engine: str) -> None:
    y = functional.drop(torch.ones(SHAPE, dtype=dtype), drop, key=7).numpy()
    expected = dropkit.mask(7, SHAPE, drop)
    # log, cos, sqrt, two products and a sum; 4 ulp of the largest factor, in the type of the result.
    spacing = float(np.spacing(np.abs(expected).max().astype(DTYPES[dtype])))
    np.testing.assert_allclose(y, expected, rtol=0, atol=4 * spacing)


@pytest.mark.parametrize("drop", DECIDING + CONTINUOUS, ids=str)
def test_backward_uses_the_mask_of_forward(drop: Drop, engine: str) -> None:
    x = torch.from_numpy(some()).requires_grad_()
    gradient = some()[::-1].copy()
    (back,) = torch.autograd.grad(functional.drop(x, drop, key=7), x, torch.from_numpy(gradient))
    np.testing.assert_allclose(back.numpy(), dropkit.mask(7, SHAPE, drop) * gradient, rtol=1e-13)


@pytest.mark.parametrize("drop", [*DECIDING, *CONTINUOUS], ids=str)
def test_evaluation_is_the_same_map(drop: Drop) -> None:
    x = torch.from_numpy(some())
    y = functional.drop(x, drop, mode="eval")
    np.testing.assert_array_equal(y.numpy(), apply(some(), drop, mode="eval"))
    assert (y is x) == (drop.scale != "eval")


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (63,), (64,), (65,), (1000, 1000)])
def test_any_size_on_any_number_of_threads(shape: tuple[int, ...], threads: int) -> None:
    x = some(np.float32, shape)
    y = functional.drop(torch.from_numpy(np.asarray(x)), Drop(0.3), key=7)
    np.testing.assert_array_equal(y.numpy(), apply(np.asarray(x), Drop(0.3), 7))


KEYS = st.one_of(
    st.integers(0, 2**64 - 1),
    st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)


@given(KEYS, st.floats(0, 1), st.sampled_from(["...", "b c -> b", "b c -> c", "b c -> c b"]))
def test_any_key_any_rate(key: int | Key, rate: float, pattern: str) -> None:
    x = np.ones((7, 19))
    expected = dropkit.drop(x, rate, pattern, key=key)
    np.testing.assert_array_equal(dropkit.drop(torch.from_numpy(x), rate, pattern, key=key).numpy(), expected)


@given(st.integers(0, 2**64 - 1))
def test_a_key_as_a_tensor_is_the_key(word: int) -> None:
    signed = torch.tensor(word - 2**64 if word >= 2**63 else word)
    y = functional.drop(torch.ones(100), Drop(0.5), key=signed)
    np.testing.assert_array_equal(y.numpy(), dropkit.mask(word, (100,), Drop(0.5)))


# Published blocks refuse windows: their seeds depend on the borders of the whole.
@pytest.mark.parametrize(
    "drop", [d for d in DECIDING + CONTINUOUS if "published" not in d.to_json()], ids=str
)
def test_a_part_has_the_mask_of_the_whole(drop: Drop) -> None:
    whole = (10, *SHAPE[1:])
    y = functional.drop(torch.ones(SHAPE, dtype=torch.float64), drop, key=7, window=Window((5,), whole))
    part = apply(np.ones(whole), drop, 7)[5:9]
    # Logarithm, root and cosine of two libraries, as in native_test.py.
    apart = 32 * np.finfo(np.float64).eps if drop in CONTINUOUS else 0
    np.testing.assert_allclose(y.numpy(), part, rtol=1e-14, atol=apart)


@given(st.integers(0, 4095))
def test_a_rate_equal_to_a_draw_keeps_its_group_and_the_next_rate_drops_it(group: int) -> None:
    # So `<=` for `<`, or a low half that is not looked at, would be seen: no random rate meets such a tie.
    u = int(uniform(np, Key(7).words, group, 1)[0])
    for threshold in (u, u + 1):
        rate = threshold / 2**32
        y = functional.drop(torch.ones(4096), Drop(rate), key=7)
        assert bool(y[group] == 0) == (threshold > u)
        np.testing.assert_array_equal(y.numpy() == 0, dropkit.mask(7, (4096,), Drop(rate)) == 0)
