import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.address import Words, second_at, uniform_at
from dropkit.core.layout import Layout

WORDS = Words(0x0123456789ABCDEF, 3, 5)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Layouts that follow, that have gaps, that share and that are permuted."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=4))
    gaps = draw(st.sampled_from([0, 0, 3]))
    step, strides = 1, [0] * len(sizes)
    for axis in draw(st.permutations(range(len(sizes)))):
        if sizes[axis] > 1 and draw(st.integers(0, 3)):
            strides[axis] = step
            step = step * sizes[axis] + gaps
    return Layout(tuple(sizes), tuple(strides), draw(st.integers(0, 200)))


def groups(layout: Layout) -> np.ndarray:
    index = np.indices(layout.shape).reshape(len(layout.sizes), math.prod(layout.shape))
    return (layout.base + np.array(layout.strides, dtype=np.int64) @ index).reshape(layout.shape)


@given(layouts())
def test_draws_lie_where_their_groups_lie(layout: Layout) -> None:
    flat = groups(layout).reshape(-1)
    for drawn, pick in ((layout.uniform, uniform_at), (layout.second, second_at)):
        expected = pick(np, WORDS, flat).reshape(layout.shape)
        np.testing.assert_array_equal(drawn(np, WORDS), expected)
        np.testing.assert_array_equal(drawn(torch, WORDS).numpy(), expected)


@pytest.mark.parametrize(
    ("layout", "collapsed"),
    [
        (Layout((2, 3, 4), (12, 4, 1)), Layout((24,), (1,))),
        (Layout((2, 3, 4), (0, 0, 0)), Layout((24,), (0,))),
        (Layout((2, 3, 4), (3, 1, 0)), Layout((6, 4), (1, 0))),
        (Layout((2, 3, 4), (4, 0, 1)), Layout((2, 3, 4), (4, 0, 1))),
        (Layout((2, 1, 4), (4, 0, 1)), Layout((8,), (1,))),
        (Layout((2, 3), (1, 2), 7), Layout((2, 3), (1, 2), 7)),
        (Layout((), (), 7), Layout((), (), 7)),
    ],
)
def test_collapse(layout: Layout, collapsed: Layout) -> None:
    assert layout.collapse() == collapsed


def test_an_empty_array_draws_nothing() -> None:
    assert Layout((2, 0), (1, 1)).uniform(np, WORDS).shape == (2, 0)
