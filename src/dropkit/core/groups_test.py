import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.address import Words
from dropkit.core.bind import Shape, Window
from dropkit.core.check import DropkitError
from dropkit.core.groups import Blocks, Draws, Groups, KofN, Pattern, from_json
from dropkit.core.rate import root

Array = np.ndarray[Any, Any]
HIT, MISS = 0, 2**32 - 1
WORDS = Words(5, 0, 0)
WHOLE_ARRAY = Window()


class Planted(Draws):
    """Draws whose numbers are chosen by the test."""

    def __init__(self, groups: Groups, shape: Shape, u: Any, second: Any = MISS) -> None:
        super().__init__(np, groups.layout(shape), WORDS)
        self.u = np.asarray(u, dtype=np.int64).reshape(self.layout.shape)
        self.planted = np.broadcast_to(np.asarray(second, dtype=np.int64), self.layout.shape)

    def second(self) -> Array:
        return self.planted


def decided(groups: Groups, shape: Shape, rate: Any, window: Window = WHOLE_ARRAY) -> Array:
    split = groups.split(shape)
    gone = groups.decide(Draws(np, groups.layout(shape, window), WORDS), rate)
    return np.broadcast_to(gone, split)


# --- patterns


@given(st.integers(0, 2**32 - 1))
def test_a_group_falls_where_u_lies_below_the_threshold_and_not_at_it(threshold: int) -> None:
    planted = Planted(Pattern("b"), (3,), [max(threshold - 1, 0), threshold, min(threshold + 1, 2**32 - 1)])
    gone = Pattern("b").decide(planted, threshold / 2**32)
    assert gone.tolist() == [threshold > 0, False, False]


def test_entries_of_a_group_share_their_fate() -> None:
    gone = decided(Pattern("b c h w -> b c"), (8, 8, 3, 3), 0.5)
    assert 0 < gone[:, :, 0, 0].sum() < 64
    np.testing.assert_array_equal(gone, np.broadcast_to(gone[:, :, :1, :1], gone.shape))


def test_sizes_are_kept_sorted_so_that_equal_patterns_are_equal() -> None:
    one, other = Pattern("(a b) (c d)", {"c": 2, "a": 3}), Pattern("(a b) (c d)", {"a": 3, "c": 2})
    assert one == other
    assert hash(one) == hash(other)
    assert one.split((6, 4)) == (3, 2, 2, 2)


# --- blocks


def enumerated_rate(groups: Blocks, height: int, width: int, rate: float) -> Array:
    """The exact probability that each entry is dropped: every map of seeds, weighted by its probability."""
    kh, kw = groups.sides.values()
    seeds = (height + kh - 1) * (width + kw - 1)
    maps = np.array(list(itertools.product([HIT, MISS], repeat=seeds)))
    gone = groups.decide(Planted(groups, (len(maps), height, width), maps), rate)
    fallen = (maps == HIT).sum(axis=1)
    seed_rate = root(rate, kh * kw, np)
    weights = seed_rate**fallen * (1 - seed_rate) ** (seeds - fallen)
    return np.asarray(np.einsum("m,mhw->hw", weights, gone))


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (2, 3, (2, 2)),
        (3, 3, (1, 2)),
        (3, 2, (2, 1)),
        (1, 5, (1, 3)),
        (2, 2, (3, 2)),
        (1, 2, (3, 3)),
        (1, 1, (2, 4)),
    ],
)
def test_every_entry_is_dropped_at_the_written_rate(
    height: int, width: int, sides: tuple[int, int], rate: float
) -> None:
    exact = enumerated_rate(Blocks(sides, over="h w"), height, width, rate)
    # 2**12 products of 12 factors each are summed.
    np.testing.assert_allclose(exact, rate, rtol=1e-12)


@given(st.integers(1, 5), st.integers(1, 5), st.tuples(st.integers(1, 6), st.integers(1, 6)), st.data())
def test_blocks_cover_what_loops_cover(
    height: int, width: int, sides: tuple[int, int], data: st.DataObject
) -> None:
    groups = Blocks(sides, over="h w")
    rows, columns = height + sides[0] - 1, width + sides[1] - 1
    seed = st.booleans()
    hit = np.array(data.draw(st.lists(seed, min_size=rows * columns, max_size=rows * columns)))
    hit = hit.reshape(rows, columns)
    gone = groups.decide(Planted(groups, (height, width), np.where(hit, HIT, MISS)), 0.5)
    for i, j in itertools.product(range(height), range(width)):
        assert gone[i, j] == hit[i : i + sides[0], j : j + sides[1]].any()


@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_a_part_has_the_blocks_of_the_whole(kh: int, kw: int, data: st.DataObject) -> None:
    groups = Blocks((kh, kw), over="h w", pattern="b c h w -> b h w")
    whole = (3, 2, 6, 7)
    start = tuple(data.draw(st.integers(0, n - 1)) for n in whole)
    shape = tuple(data.draw(st.integers(1, n - i)) for n, i in zip(whole, start, strict=True))
    part = decided(groups, shape, 0.4, Window(start, whole))
    cut = tuple(slice(i, i + n) for i, n in zip(start, shape, strict=True))
    np.testing.assert_array_equal(part, decided(groups, whole, 0.4)[cut])


def test_rates_0_and_1_are_exact_for_blocks() -> None:
    assert not decided(Blocks(3), (2, 5, 5), 0.0).any()
    assert decided(Blocks(3), (2, 5, 5), 1.0).all()


def test_blocks_along_one_axis_and_over_split_axes() -> None:
    gone = decided(Blocks(3, over="t"), (4, 9), 0.5)
    np.testing.assert_array_equal(gone.shape, (4, 9))
    groups = Blocks(2, over="h", pattern="(b h) w -> b h", sizes={"b": 3})
    assert groups.layout((12, 5)).sizes == (3, 5, 5)
    assert decided(groups, (12, 5), 0.5).shape == (3, 4, 5)


@pytest.mark.parametrize(("height", "width", "side"), [(5, 5, 3), (6, 4, 2), (3, 7, 3), (4, 4, 1)])
def test_published_seeds_fall_at_equation_1(height: int, width: int, side: int) -> None:
    groups, rate = Blocks(side, published=True), 0.1
    gamma = rate / side**2 * height * width / ((height - side + 1) * (width - side + 1))
    seeds = groups.layout((height, width)).shape
    for u, falls in ((math.floor(gamma * 2**32) - 1, True), (math.ceil(gamma * 2**32) + 1, False)):
        gone = groups.decide(Planted(groups, (height, width), np.full(seeds, u)), rate)
        assert gone.all() == gone.any() == falls


@pytest.mark.parametrize(("height", "width", "side"), [(5, 5, 3), (6, 4, 2), (3, 7, 3), (4, 4, 1)])
def test_published_blocks_lie_whole_inside_the_map(height: int, width: int, side: int) -> None:
    groups = Blocks(side, published=True)
    corners = set()
    for seed in np.ndindex(groups.layout((height, width)).shape):
        u = np.full(groups.layout((height, width)).shape, MISS)
        u[seed] = HIT
        rows, columns = np.nonzero(groups.decide(Planted(groups, (height, width), u), 0.1))
        assert len(rows) in (0, side**2)
        if len(rows):
            assert rows.max() - rows.min() == columns.max() - columns.min() == side - 1
            corners.add((rows.min(), columns.min()))
    assert len(corners) == (height - side + 1) * (width - side + 1)


# --- k of n


@pytest.mark.parametrize("k", range(5))
def test_every_choice_of_k_is_equally_likely(k: int) -> None:
    orders = np.array(list(itertools.permutations([10, 20, 30, 40])))
    gone = KofN(k).decide(Planted(KofN(k), orders.shape, orders), None)
    choices = Counter(map(tuple, gone.tolist()))
    assert set(gone.sum(axis=1)) == {k}
    assert set(choices.values()) == {24 // math.comb(4, k)}
    assert len(choices) == math.comb(4, k)


def test_those_with_the_smallest_draws_are_dropped() -> None:
    gone = KofN(2).decide(Planted(KofN(2), (1, 4), [30, 10, 20, 40]), None)
    assert gone.tolist() == [[False, True, True, False]]


def test_equal_draws_still_give_k() -> None:
    gone = KofN(2).decide(Planted(KofN(2), (1, 5), [MISS] * 5), None)
    assert gone.sum() == 2


@given(st.integers(1, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_rate_is_rounded_by_a_coin_of_its_own(n: int, rate: float, coin: int) -> None:
    groups = KofN()
    gone = groups.decide(Planted(groups, (1, n), np.arange(n), coin), rate)
    whole = math.floor(rate * n)
    up = coin < min(round((rate * n - whole) * 2**32), 2**32 - 1)
    assert gone.sum() == whole + up


def test_the_coin_is_that_of_the_first_place() -> None:
    for coins, count in (([HIT, MISS, MISS], 2), ([MISS, HIT, HIT], 1)):
        gone = KofN().decide(Planted(KofN(), (1, 3), [30, 20, 10], coins), 0.5)
        assert gone.sum() == count


def test_the_coin_is_shared_along_the_axis_and_drawn_by_each_group() -> None:
    counts = decided(KofN(over="t", pattern="b t d -> b t"), (400, 3, 2), 0.5)[:, :, 0].sum(axis=1)
    assert set(counts) == {1, 2}


@pytest.mark.parametrize("pattern", ["t b", "b t d -> b t", "b t d -> t b", "(b t) d -> b t d"])
def test_k_are_dropped_along_the_named_axis(pattern: str) -> None:
    groups = KofN(2, over="t", pattern=pattern, sizes={"t": 5} if "(" in pattern else {})
    shape = {"t b": (5, 4), "(b t) d -> b t d": (20, 3)}.get(pattern, (4, 5, 3))
    axis = 0 if pattern == "t b" else 1
    assert (decided(groups, shape, None).sum(axis=axis) == 2).all()


def test_a_part_chooses_what_the_whole_chooses() -> None:
    groups = KofN(over="t", pattern="b t d -> b t")
    whole = decided(groups, (9, 5, 2), 0.5)
    np.testing.assert_array_equal(decided(groups, (4, 5, 2), 0.5, Window((3,))), whole[3:7])


def test_the_rate_of_k_of_n() -> None:
    assert KofN(2, over="t", pattern="b t d -> b t").rate(None, (3, 8, 2)) == 0.25
    assert KofN(0).rate(None, (3, 0)) == 0
    assert KofN().rate(0.3, (3, 8)) == 0.3
    assert Blocks(3).rate(0.3, (3, 8, 8)) == 0.3


# --- all of them

GROUPS = [
    Pattern("b (h d) -> b h", {"d": 4}),
    Pattern(),
    Blocks((3, 2), over="h w", pattern="b c h w -> b h w"),
    Blocks(5, over="t", published=True),
    KofN(3, over="t", pattern="b t d -> b t"),
    KofN(),
]


@pytest.mark.parametrize("groups", GROUPS)
def test_json_round_trip(groups: Groups) -> None:
    assert from_json(groups.to_json()) == groups


@pytest.mark.parametrize("shape", [(0, 4, 4), (2, 0, 4), (2, 4, 0)])
@pytest.mark.parametrize("groups", [Pattern(), Pattern("b c w -> b"), Blocks(3), Blocks(1), KofN(), KofN(0)])
def test_empty_arrays_drop_nothing(groups: Groups, shape: Shape) -> None:
    assert decided(groups, shape, 0.5).shape == shape


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pattern("b c", {"d": 3}), "sizes name axes of the pattern, got 'd'"),
        (lambda: Pattern("b ...", {"...": 3}), r"sizes name axes of the pattern, got '\.\.\.'"),
        (lambda: Pattern("b c", {"c": 0}), "size of axis 'c' must be a whole number of at least 1, got 0"),
        (lambda: Blocks(0), "block_size must be a whole number of at least 1, got 0"),
        (lambda: Blocks((3, 3, 3)), r"block_size has one side for each axis of 'h w', got \(3, 3, 3\)"),
        (lambda: Blocks(3, over=""), "over names different axes, got ''"),
        (lambda: Blocks(3, over="h h", pattern="b h"), "over names different axes, got 'h h'"),
        (lambda: Blocks(3, pattern="b h w -> b h"), "stand right of '->' in 'b h w -> b h', got 'w'"),
        (lambda: Blocks(3, over="...", pattern="b ..."), r"stand right of '->' in 'b ...', got '...'"),
        (lambda: KofN(-1), "k must be a whole number of at least 0, got -1"),
        (lambda: KofN(2, over="h w"), "over is one axis, got 'h w'"),
        (lambda: KofN(9).layout((2, 8)), "k is at most the size of axis 't', 8, got 9"),
        (lambda: KofN(2).layout((2, 8), Window((0, 2), (2, 10))), "window leaves axis 't' whole"),
        (lambda: KofN(2).layout((2, 8), Window((0,), (2, 10))), "window leaves axis 't' whole"),
        (lambda: Blocks(9, published=True).layout((1, 9, 8)), "must fit into axis 'w' of 8 entries"),
        (lambda: Blocks(2, published=True).layout((4, 4), Window((1,))), "window does not go with published"),
        (lambda: from_json({"kind": "block"}), "groups has a known kind, got 'block'; did you mean 'blocks'"),
    ],
)  # fmt: skip
def test_refuses(make: Any, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        make()
