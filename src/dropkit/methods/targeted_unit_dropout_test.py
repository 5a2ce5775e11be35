import numpy as np
import pytest

from dropkit.methods.targeted_unit_dropout import METHOD, targeted

NORMS = np.array([3.0, 1.0, 2.0, 5.0, 4.0])


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, set()), (0.19, set()), (0.2, {1}), (0.5, {1, 2}), (0.99, {0, 1, 2, 4}), (1.0, {0, 1, 2, 3, 4})],
)
def test_the_units_of_the_smallest_norms_are_targeted(share: float, expected: set[int]) -> None:
    assert set(np.flatnonzero(targeted(NORMS, np.sort(NORMS), share)).tolist()) == expected


def test_units_of_equal_norm_are_not_told_apart() -> None:
    assert not targeted(np.ones(4), np.ones(4), 0.5).any()


def test_the_picture_drops_whole_units_and_half_of_them_at_most() -> None:
    drawn = METHOD.picture()
    assert np.array_equal(drawn, np.broadcast_to(drawn[:1], drawn.shape))
    assert 0 < (drawn[0] == 0).sum() <= 16
