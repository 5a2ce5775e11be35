"""The arrays of an exam: what tells nothing of a mask, and every layout of the same values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dropkit import Drop
from dropkit.testing import Declared
from dropkit.testing.arrays import LAYOUTS, expanded, normal, telling

Lay = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


@pytest.mark.parametrize("noise", ["bernoulli", "alpha"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7])
def test_some_values_have_the_fill_as_their_image_and_others_are_0_or_equal(noise: str, rate: float) -> None:
    declared = Declared.of(Drop(rate, noise=noise), (23, 23))
    x = telling(declared, (23, 23))
    assert (declared.scale * x + declared.shift == declared.fill).sum() > 20
    assert (x == 1).sum() > 20
    assert {(0.0, bool(sign)) for sign in (True, False)} <= {(v, bool(np.signbit(v))) for v in x[x == 0]}
    assert np.unique(x).size > 20
    assert np.isfinite(x).all()


@pytest.mark.parametrize("lay", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5)])
def test_a_layout_keeps_the_values_and_lies_in_memory_in_a_way_of_its_own(
    lay: Lay, shape: tuple[int, ...]
) -> None:
    x = normal(shape)
    laid = lay(x)
    assert (laid == (x.flat[0] if lay is expanded else x)).all()
    others = [other(x).strides for other in LAYOUTS if other is not lay]
    assert laid.strides != x.strides
    assert laid.strides not in others


@pytest.mark.parametrize("lay", LAYOUTS)
def test_a_layout_of_one_axis_keeps_the_values(lay: Lay) -> None:
    x = normal((9,))
    assert (lay(x) == (x[0] if lay is expanded else x)).all()
