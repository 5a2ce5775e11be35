"""The native loops decide as the plain twin in dropkit.core does, bit for bit, with every instruction set."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from dropkit import _native
from dropkit.core import address
from dropkit.core.address import Words
from dropkit.core.layout import Layout

WORDS = Words(0x0123456789ABCDEF, 3, 0xFEDCBA98)
HALF = 2**31
ALWAYS = 2**32
LAYOUTS = {
    "nothing": Layout((0,), (1,)),
    "one entry": Layout((), ()),
    "every entry": Layout((1000,), (1,)),
    "from within a tile": Layout((300,), (1,), 37),
    "up to a border": Layout((27,), (1,), 37),
    "one behind a border": Layout((28,), (1,), 37),
    "across 2**32": Layout((200,), (1,), 2**32 - 100),
    "blocks across 2**32": Layout((200,), (1,), 2**35 - 100),
    "far": Layout((70,), (1,), 2**57 + 5),
    "rows": Layout((5, 70), (70, 1)),
    "rows with a gap": Layout((5, 70), (101, 1), 3),
    "locked over time": Layout((3, 5, 70), (70, 0, 1)),
    "channels": Layout((100, 49), (1, 0)),
    "channels, short runs": Layout((100, 2), (1, 0), 60),
    "one coin for all": Layout((1000,), (0,), 77),
    "shared by the batch": Layout((4, 70), (0, 1)),
    "heads": Layout((3, 4, 25), (4, 1, 0)),
    "transposed": Layout((30, 20), (1, 30)),
    "transposed and shared": Layout((30, 20, 3), (1, 30, 0)),
    "every other": Layout((150,), (2,), 1),
    "channels last": Layout((2, 35, 3), (105, 1, 35)),
    "wide strides": Layout((9, 9), (2**40, 2**33)),
    "alternating": Layout((2, 3, 2, 3, 2, 3), (18, 0, 6, 0, 3, 1)),
}


@pytest.fixture(scope="module", params=_native.instruction_sets(), autouse=True)
def instructions(request: pytest.FixtureRequest) -> Iterator[str]:
    _native.use_instructions(request.param)
    yield request.param
    _native.use_instructions(_native.instruction_sets()[0])


def native(layout: Layout) -> _native.Layout:
    return _native.Layout(layout.sizes, layout.strides, layout.base)


def uniform(layout: Layout, words: Words[int] = WORDS) -> NDArray[np.int64]:
    drawn: NDArray[np.int64] = layout.uniform(np, words)
    return np.broadcast_to(drawn, layout.sizes)


def dropped(layout: Layout, threshold: int, words: Words[int] = WORDS) -> NDArray[np.bool_]:
    out = np.zeros(layout.sizes, dtype=np.bool_)
    _native.dropped(out, native(layout), words.word, words.call, words.stream, threshold)
    return out


@pytest.mark.parametrize("threshold", [0, 1, 0xFFFF, 1 << 16, HALF - 1, HALF, HALF + 1, ALWAYS - 1, ALWAYS])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_decisions(layout: Layout, threshold: int) -> None:
    np.testing.assert_array_equal(dropped(layout, threshold), uniform(layout) < threshold)


@pytest.mark.parametrize("above", [-1, 0, 1])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_planted_ties(layout: Layout, above: int) -> None:
    """A threshold at a known u: the high halves tie, so the low half has to decide."""
    u = uniform(layout)
    for planted in u.ravel()[:: max(1, u.size // 7)]:
        threshold = int(planted) + above
        np.testing.assert_array_equal(dropped(layout, threshold), u < threshold)


LAYOUT = st.integers(1, 5).flatmap(
    lambda axes: st.builds(
        Layout,
        st.tuples(*[st.integers(1, 7)] * axes),
        st.tuples(*[st.sampled_from([0, 1, 2, 7, 64, 2**31])] * axes),
        st.sampled_from([0, 1, 63, 64, 2**32 - 3, 2**40 + 11]),
    )
)
KEY = st.builds(Words, st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(layout=LAYOUT, words=KEY, threshold=st.integers(0, ALWAYS), collapsed=st.booleans())
def test_any_decision(
    instructions: str, layout: Layout, words: Words[int], threshold: int, collapsed: bool
) -> None:
    expected = uniform(layout, words) < threshold
    merged = layout.collapse() if collapsed else layout
    np.testing.assert_array_equal(dropped(merged, threshold, words).reshape(layout.sizes), expected)


@pytest.mark.parametrize(
    "layout", [Layout((2**19 + 77,), (1,), 5), Layout((1400, 401), (1, 0)), Layout((1401, 401), (1, 1401))]
)
def test_threads_do_not_matter(layout: Layout) -> None:
    x = np.ones(layout.sizes, dtype=np.float32)
    alone = np.empty_like(x)
    two_point(x, alone, layout)
    for threads in (2, 3, 64):
        out = np.full_like(x, np.nan)
        two_point(x, out, layout, threads=threads)
        np.testing.assert_array_equal(out, alone)


def two_point(
    x: NDArray[Any],
    out: NDArray[Any],
    layout: Layout,
    scale: float = 2.0,
    shift: float = 0.0,
    fill: float = 0.0,
    threads: int = 1,
) -> None:
    key, call, stream = WORDS
    _native.two_point(x, out, native(layout), key, call, stream, HALF + 5, scale, shift, fill, threads)


@pytest.mark.parametrize(
    ("scale", "shift", "fill"), [(1 / 0.7, 0.0, 0.0), (0.9, 0.3, -1.7), (1.1, 0.0, -0.5)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_two_point(layout: Layout, dtype: DTypeLike, scale: float, shift: float, fill: float) -> None:
    x = np.random.default_rng(0).standard_normal(layout.sizes).astype(dtype)
    affine = [np.asarray(value, dtype) for value in (scale, shift, fill)]
    gone = uniform(layout) < HALF + 5
    expected = np.where(gone, affine[2], x * affine[0] + affine[1])
    out = np.full_like(x, np.nan)
    two_point(x, out, layout, scale, shift, fill)
    np.testing.assert_array_equal(out, expected, strict=True)
    two_point(x, x, layout, scale, shift, fill)
    np.testing.assert_array_equal(x, expected, strict=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "layout", [Layout((1000,), (1,)), Layout((100, 10), (1, 0)), Layout((40, 25), (1, 40))]
)
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_dropped_entries_are_replaced_not_multiplied(layout: Layout, dtype: DTypeLike, value: float) -> None:
    out = np.full(layout.sizes, value, dtype=dtype)
    two_point(out, out, layout)
    gone = uniform(layout) < HALF + 5
    assert (out[gone] == 0).all()
    np.testing.assert_array_equal(out[~gone], value)


def test_minus_zero_stays_minus_zero() -> None:
    layout = LAYOUTS["every entry"]
    out = np.full(layout.sizes, -0.0)
    two_point(out, out, layout)
    np.testing.assert_array_equal(np.signbit(out), uniform(layout) >= HALF + 5)


def test_a_key_is_a_bit_pattern() -> None:
    layout = LAYOUTS["every entry"]
    signed, unsigned = (dropped(layout, HALF, WORDS._replace(word=word)) for word in (-2, 2**64 - 2))
    np.testing.assert_array_equal(signed, unsigned)


CALL = (0, 0, 0, HALF, 2.0, 0.0, 0.0)
FLOATS = np.zeros(8, dtype=np.float32)
ENTRIES = _native.Layout((8,), (1,))


@pytest.mark.parametrize(
    ("x", "out"),
    [
        (np.zeros(8, np.float16), np.zeros(8, np.float16)),
        (np.zeros(8, np.int32), FLOATS),
        (FLOATS, np.zeros(8, np.float64)),
        (np.zeros(16, np.float32)[::2], FLOATS),
        (FLOATS, np.zeros(16, np.float32)[::2]),
        ([0.0] * 8, FLOATS),
    ],
)
def test_wrong_arrays_are_refused(x: Any, out: NDArray[Any]) -> None:
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _native.two_point(x, out, ENTRIES, *CALL)


@pytest.mark.parametrize("start", [0, 1, 31, 32, 63, 64, 2**32 - 40, 2**35 - 40, 2**57 + 5])
@pytest.mark.parametrize("count", [0, 1, 33, 64, 200])
def test_runs_of_draws_are_those_of_the_twin(start: int, count: int) -> None:
    for second, twin in ((False, address.uniform), (True, address.second)):
        drawn = np.empty(count, np.int64)
        _native.draw(drawn, start, *WORDS, second)
        assert np.array_equal(drawn, twin(np, WORDS, start, count))


@pytest.mark.parametrize(
    ("x", "out", "message"), [(FLOATS[:7], FLOATS, "x: must have"), (FLOATS, FLOATS[:7], "out: must have")]
)
def test_wrong_sizes_are_refused(x: NDArray[Any], out: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.two_point(x, out, ENTRIES, *CALL)


@pytest.mark.parametrize(
    ("x", "out"), [((2,), None), (None, (2,)), (None, (0,)), ((-1,), None), ((2**62,), None)]
)
def test_layouts_with_places_of_their_own_are_refused(
    x: tuple[int, ...] | None, out: tuple[int, ...] | None
) -> None:
    layout = _native.Layout((8,), (1,), 0, x, out)
    with pytest.raises(ValueError, match="layout: must be made without x and out"):
        _native.two_point(FLOATS, FLOATS.copy(), layout, *CALL)
    with pytest.raises(ValueError, match="layout: must be made without x and out"):
        _native.dropped(np.zeros(8, np.bool_), layout, 0, 0, 0, HALF)


def test_places_in_order_are_those_of_an_array() -> None:
    layout, out = _native.Layout((2, 4), (4, 1), 0, (4, 1), (4, 1)), np.empty_like(FLOATS)
    _native.two_point(FLOATS + 1, out, layout, *CALL)
    np.testing.assert_array_equal(out == 0, dropped(Layout((8,), (1,)), HALF, Words(0, 0, 0)))


def test_an_array_that_may_not_be_written_is_refused() -> None:
    frozen = FLOATS.copy()
    frozen.flags.writeable = False
    with pytest.raises(TypeError, match="incompatible function arguments"):
        _native.two_point(FLOATS, frozen, ENTRIES, *CALL)


@pytest.mark.parametrize(
    ("sizes", "strides", "message"),
    [
        ((2, 3), (1,), "as many as sizes"),
        ((1,) * 17, (1,) * 17, "at most 16 axes"),
        ((-1,), (1,), "must not be negative"),
        ((4,), (-1,), "must not be negative"),
        ((2**32, 2**32), (1, 0), "must stay below"),
        ((2**32, 2), (2**62, 1), "must stay below"),
    ],
)
def test_wrong_layouts_are_refused(sizes: tuple[int, ...], strides: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.Layout(sizes, strides)


@pytest.mark.parametrize(
    ("key", "threshold", "error", "message"),
    [
        (2**64, HALF, ValueError, "key: must fit"),
        (-(2**63) - 1, HALF, ValueError, "key: must fit"),
        ("a", HALF, TypeError, "integer"),
        (0, ALWAYS + 1, ValueError, "threshold: must be"),
        (0, -1, TypeError, "incompatible function arguments"),
    ],
)
def test_wrong_addresses_are_refused(key: Any, threshold: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        _native.dropped(np.zeros(8, np.bool_), ENTRIES, key, 0, 0, threshold)


def test_an_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of"):
        _native.use_instructions("abacus")
