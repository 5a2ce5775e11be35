import numpy as np
import pytest

from dropkit.methods.guided_dropout import BINS, METHOD, inactive, strongest

NUMBERS = np.arange(BINS + 1)
SIZE = np.array([0.2, 0.9, 0.5, 0.7, 0.1])


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, set()), (0.19, set()), (0.2, {1}), (0.5, {1, 3}), (1.0, {0, 1, 2, 3, 4})]
)
def test_the_strongest_fall(rate: float, expected: set[int]) -> None:
    assert set(np.flatnonzero(strongest(SIZE, np.sort(SIZE), rate)).tolist()) == expected


def test_never_more_fall_than_the_share_also_where_all_are_alike() -> None:
    for count in range(6):
        assert np.flatnonzero(strongest(np.ones(5), np.ones(5), count / 5)).tolist() == list(range(count))
    size = np.array([0.5, 0.9, 0.5, 0.1, 0.5])
    assert np.flatnonzero(strongest(size, np.sort(size), 0.6)).tolist() == [0, 1, 2]


def test_the_crowd_is_the_fullest_part_of_the_range() -> None:
    size = np.array([0.051, 0.305, 0.3099, 0.311, 1.0, 0.309])
    assert np.flatnonzero(inactive(size, size.max(), NUMBERS)).tolist() == [1, 2, 5]


def test_the_crowd_moves_with_the_scale_of_the_strengths() -> None:
    size = np.array([0.125, 0.126, 0.5, 1.0])
    assert np.array_equal(inactive(4 * size, 4.0, NUMBERS), inactive(size, 1.0, NUMBERS))


def test_units_that_are_all_alike_are_one_crowd() -> None:
    assert inactive(np.ones(5), 1.0, NUMBERS).all()
    assert inactive(np.zeros(5), 0.0, NUMBERS).all()


def test_the_picture_spares_the_crowd() -> None:
    drawn = METHOD.picture()
    assert (drawn[:, 1::2] == 1).all()
    assert (drawn[:, ::2] == 0).any()
