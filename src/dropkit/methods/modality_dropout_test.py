import itertools

import numpy as np
import pytest

from dropkit.methods.modality_dropout import METHOD, chosen, happening_rate, spared


@pytest.mark.parametrize(("rate", "count"), [(0.3, 2), (0.7, 3), (1.0, 4), (0.0, 2)])
def test_the_rate_that_happens_is_summed_over_all_coins_and_choices(rate: float, count: int) -> None:
    total = np.zeros(count)
    for coins in itertools.product([True, False], repeat=count):
        chance = np.prod([rate if fell else 1 - rate for fell in coins]) / count
        for choice in range(count):
            total += chance * spared(np.array([coins]), np.array([choice]), np.arange(count))[0]
    assert total == pytest.approx(np.full(count, happening_rate(rate, count)), abs=1e-15)


def test_no_sample_loses_everything_and_no_other_is_touched() -> None:
    gone = np.array(list(itertools.product([True, False], repeat=3)))
    left = spared(gone, np.full(8, 1), np.arange(3))
    assert not left.all(1).any()
    assert left[0].tolist() == [True, False, True]
    assert np.array_equal(left[1:], gone[1:])


def test_every_modality_is_chosen_for_its_share_of_the_draws() -> None:
    edges = -(-np.arange(4) * 2**32 // 3)
    assert chosen(edges[:3], 3).tolist() == [0, 1, 2]
    assert chosen(edges[1:] - 1, 3).tolist() == [0, 1, 2]


def test_the_picture_keeps_something_of_every_sample() -> None:
    drawn = METHOD.picture(3)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert drawn.any(1).all()
