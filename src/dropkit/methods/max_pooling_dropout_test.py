import itertools

import numpy as np
import pytest

from dropkit.methods.max_pooling_dropout import METHOD, chances, strongest


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("region", [[2.0, 0.5, 7.0, 1.0], [3.0], [0.0, 0.0, 4.0]])
def test_weighted_pooling_is_the_mean_over_every_mask(rate: float, region: list[float]) -> None:
    masks = np.array(list(itertools.product([False, True], repeat=len(region))))
    weights = np.where(masks, rate, 1 - rate).prod(1)
    passed = strongest(np.broadcast_to(region, masks.shape), masks)
    assert np.sort(region) @ chances(rate, len(region)) == pytest.approx(weights @ passed, rel=1e-14)


def test_the_chances_leave_room_for_a_region_that_is_gone_whole() -> None:
    assert sum(chances(0.5, 4)) + 0.5**4 == 1
    assert chances(0.0, 3) == (0, 0, 1)
    assert chances(1.0, 3) == (0, 0, 0)


def test_a_unit_that_is_gone_is_not_the_strongest_even_among_negative_ones() -> None:
    region, gone = np.array([-1.0, -2.0, 5.0]), np.array([False, False, True])
    assert strongest(region, gone) == -1
    assert strongest(region, np.full(3, True)) == 0


def test_the_picture_has_at_most_one_unit_a_region() -> None:
    drawn = METHOD.picture(3)
    per_region = drawn.reshape(8, 2, 16, 2).sum((1, 3))
    assert set(np.unique(per_region)) == {0, 1}
