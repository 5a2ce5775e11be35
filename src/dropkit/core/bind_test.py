"""Layouts against an enumeration that walks every entry with loops of its own."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.bind import Window, bind, strides
from dropkit.core.check import DropkitError
from dropkit.core.layout import Layout
from dropkit.core.pattern import ELLIPSIS, PatternError, parse

Axes = list[tuple[str, int]]


@dataclass
class Case:
    """A pattern and what it was made of: the axes of each axis of the array, and their order on the right."""

    text: str
    parts: list[Axes]
    right: list[str]
    sizes: dict[str, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(math.prod(size for _, size in axes) for axes in self.parts)


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[str, ...] = ("plain", "number", "split")) -> Case:
    names = iter("abcdefgh")
    parts: list[Axes] = []
    texts: list[str] = []
    sizes: dict[str, int] = {}
    dots: list[str] = []
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=3))
    if draw(st.booleans()):
        chosen.insert(draw(st.integers(0, len(chosen))), "dots")
    for kind in chosen:
        if kind == "dots":
            dots = [f"dots{i}" for i in range(draw(st.integers(0, 2)))]
            parts += [[(name, draw(st.integers(1, 3)))] for name in dots]
            texts.append(ELLIPSIS)
        elif kind == "number":
            size = draw(st.integers(1, 3))
            parts.append([("", size)])
            texts.append(str(size))
        elif kind == "plain":
            parts.append([(next(names), draw(st.integers(1, 4)))])
            texts.append(parts[-1][0][0])
        else:
            axes = [(next(names), draw(st.integers(1, 3))) for _ in range(2)]
            parts.append(axes)
            texts.append(f"({axes[0][0]} {axes[1][0]})")
            sizes[axes[draw(st.integers(0, 1))][0]] = 0
    named = [name for axes in parts for name, _ in axes if name and name not in dots]
    sizes = {name: dict(itertools.chain(*parts))[name] for name in sizes}
    right = draw(st.permutations(named + ([ELLIPSIS] if ELLIPSIS in texts else [])))
    right = right[: draw(st.integers(0, len(right)))]
    expanded = [name for item in right for name in (dots if item == ELLIPSIS else [item])]
    return Case(f"{' '.join(texts)} -> {' '.join(right)}", parts, expanded, sizes)


def groups_by_hand(case: Case, start: tuple[int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The row-major index over the right-hand side, entry by entry, of the part of `shape` at `start`."""
    extent = {name: size for axes in case.parts for name, size in axes}
    groups = np.zeros(shape, dtype=np.int64)
    for index in itertools.product(*map(range, shape)):
        place: dict[str, int] = {}
        for axes, i, first in zip(case.parts, index, start, strict=True):
            rest = i + first
            for name, size in reversed(axes):
                rest, place[name] = divmod(rest, size)
        group = 0
        for name in case.right:
            group = group * extent[name] + place[name]
        groups[index] = group
    return groups


def groups_of(layout: Layout, shape: tuple[int, ...]) -> np.ndarray:
    index = np.indices(layout.sizes).reshape(len(layout.sizes), math.prod(layout.sizes))
    return (layout.base + np.array(layout.strides, dtype=np.int64) @ index).reshape(shape)


def layout_of(case: Case, shape: tuple[int, ...], window: Window) -> Layout:
    return strides(parse(case.text), tuple(sorted(case.sizes.items())), shape, window)


@given(cases())
def test_every_entry_belongs_to_the_group_that_loops_give_it(case: Case) -> None:
    expected = groups_by_hand(case, (0,) * len(case.shape), case.shape)
    layout = layout_of(case, case.shape, Window())
    np.testing.assert_array_equal(groups_of(layout, case.shape), expected)
    collapsed = layout.collapse()
    assert len(collapsed.sizes) <= len(layout.sizes)
    np.testing.assert_array_equal(groups_of(collapsed, case.shape), expected)


@given(cases(kinds=("plain",)), st.data())
def test_a_part_has_the_groups_that_it_has_in_the_whole(case: Case, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, size - 1)) for size in case.shape)
    shape = tuple(data.draw(st.integers(1, n - i)) for n, i in zip(case.shape, start, strict=True))
    layout = layout_of(case, shape, Window(start, case.shape))
    np.testing.assert_array_equal(groups_of(layout, shape), groups_by_hand(case, start, shape))


@pytest.mark.parametrize("text", ["b ... -> b", "b t d -> b d", "b t d -> d", "b t d ->", "b t d -> b t d"])
def test_a_leading_start_needs_no_whole(text: str) -> None:
    whole = strides(parse(text), (), (10, 3, 4))
    part = strides(parse(text), (), (6, 3, 4), Window((4,)))
    np.testing.assert_array_equal(groups_of(part, (6, 3, 4)), groups_of(whole, (10, 3, 4))[4:])


@pytest.mark.parametrize(
    ("text", "shape", "window", "message"),
    [
        ("b t -> t b", (2, 3), Window((2,)), "needs whole="),
        ("b t -> b t", (2, 3), Window((0, 1)), "needs whole="),
        ("b t", (2, 3), Window((0, 0, 1)), r"window.start has at most 2 axes"),
        ("b t", (2, 3), Window((0, 1), (2, 3)), r"window.whole holds the part \(2, 3\) at \(0, 1\)"),
        ("b t", (2, 3), Window((), (2, 3, 4)), r"window.whole holds the part"),
        ("(b 2) t", (4, 3), Window((2,)), r"leaves axes whole that '\(b 2\) t' splits"),
        ("(b 2) t", (4, 3), Window((0,), (8, 3)), "leaves axes whole"),
    ],
)
def test_windows_that_do_not_fit(text: str, shape: tuple[int, ...], window: Window, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        strides(parse(text), (), shape, window)


@pytest.mark.parametrize(
    ("text", "shape", "at", "message"),
    [
        ("b c -> b", (2, 3, 4), 0, r"has 2 axes but the array has 3, \(2, 3, 4\)"),
        ("b c d ... -> b", (2, 3), 0, r"has at least 3 axes but the array has 2"),
        ("b (h 4) -> h", (2, 6), 3, "does not fit an axis of 6 entries"),
        ("b (2 3) -> b", (2, 7), 3, "does not fit an axis of 7 entries"),
        ("b 3 -> b", (2, 4), 2, "does not fit an axis of 4 entries"),
        ("b (h d) -> h", (2, 6), 5, "leaves one size open"),
        ("(h 4) -> h", (0, 1), 0, "has 1 axes but the array has 2"),
    ],
)
def test_shapes_that_do_not_fit(text: str, shape: tuple[int, ...], at: int, message: str) -> None:
    with pytest.raises(PatternError, match=message) as caught:
        bind(parse(text), (), shape)
    assert caught.value.at == at


def test_sizes_by_name_fill_and_check() -> None:
    bound = bind(parse("b (h d)"), (("h", 4),), (2, 12))
    assert [(axis.name, axis.size, axis.source) for axis in bound] == [("b", 2, 0), ("h", 4, 1), ("d", 3, 1)]
    with pytest.raises(PatternError, match="does not fit an axis of 2 entries"):
        bind(parse("b c"), (("b", 3),), (2, 12))


def test_an_empty_axis_splits_into_none() -> None:
    assert [axis.size for axis in bind(parse("(h 4)"), (), (0,))] == [0, 4]


def test_a_margin_widens_an_axis_for_all_that_lead_it() -> None:
    layout = strides(parse("c h w"), (), (2, 5, 6), grow=(("h", 1), ("w", 2)))
    assert layout == Layout((2, 6, 8), (48, 8, 1))
