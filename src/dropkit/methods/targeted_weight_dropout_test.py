from typing import Any

import numpy as np
import pytest

from dropkit.core.check import RATE, DropkitError, Whole
from dropkit.core.schedule import Ramp
from dropkit.methods.targeted_weight_dropout import targeted_weight_dropout, targets

W = np.array([[3.0, -0.5, 1.0, 0.25, -2.0], [-0.1, 0.2, -0.3, 0.4, 0.5]])


def test_the_smallest_weights_into_each_unit_are_targets() -> None:
    assert targets(W, 0.4).tolist() == [[False, True, False, True, False], [True, True, False, False, False]]


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.2, 1), (0.39, 1), (0.6, 3), (1.0, 5)])
def test_the_share_is_rounded_down(share: float, count: int) -> None:
    assert targets(W, share).sum(1).tolist() == [count, count]


def test_a_share_that_is_whole_in_decimals_is_whole() -> None:
    for tenths in range(11):
        assert targets(np.arange(10.0)[None], tenths / 10).sum() == tenths


def test_all_inputs_of_a_filter_compete() -> None:
    filters = np.arange(24.0).reshape(2, 3, 2, 2)
    found = targets(filters, 0.25)
    assert found.shape == filters.shape
    assert found.reshape(2, -1).argmin(1).tolist() == [3, 3]


def test_of_equal_weights_the_first_are_targets() -> None:
    assert targets(np.ones((1, 4)), 0.5).tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (3, 0), (4,)])
def test_odd_shapes_come_back(shape: tuple[int, ...]) -> None:
    assert targets(np.ones(shape), 1.0).shape == shape


def test_nothing_is_scaled() -> None:
    assert targeted_weight_dropout(0.5).noise.affine(0.5, "none").scale == 1


def test_the_ramp_is_that_of_the_authors_code() -> None:
    ramp = Ramp(0.8, 20000)
    for step in (0, 1, 10000, 19999, 20000, 30000, 40000, 90000):
        share = 0.95 * 0.8 * min(1.0, step / 20000.0)
        share += 0.05 * 0.8 * max(0.0, min(1.0, (step - 20000.0) / 20000.0))
        assert ramp(step) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("end", RATE.bad())
def test_a_ramp_to_an_impossible_share_is_refused(end: Any) -> None:
    with pytest.raises(DropkitError, match="end must be a number"):
        Ramp(end, 10)


@pytest.mark.parametrize("steps", Whole(1, "").bad())
def test_a_ramp_takes_a_whole_number_of_steps(steps: Any) -> None:
    with pytest.raises(DropkitError, match="steps must be a whole number"):
        Ramp(0.5, steps)
