from itertools import permutations

import numpy as np
import pytest
import torch

from dropkit.core.choose import fallen, kept_count, places, ranks
from dropkit.core.rate import ONE, threshold

ROWS = np.array(list(permutations([10, 20, 30, 40])))
ABLE = np.array([False, True, True, False])


def test_one_of_each_row_stays_even_at_rate_1() -> None:
    gone = fallen(ROWS, ONE, np)
    assert (gone.sum(-1) == 3).all()
    assert (ROWS[~gone] == 40).all()


def test_below_the_largest_draw_the_threshold_decides() -> None:
    assert np.array_equal(fallen(ROWS, 20, np), ROWS < 20)
    assert np.array_equal(fallen(ROWS, 21, np), ROWS < 21)


def test_who_stays_is_one_that_is_able() -> None:
    gone = fallen(ROWS, ONE, np, ABLE)
    assert ((~gone & ABLE).sum(-1) == 1).all()
    assert not fallen(ROWS, ONE, np, np.zeros(4, bool)).any()


def test_the_chance_to_fall_is_the_rate_less_that_of_being_spared() -> None:
    # Every outcome of n coins whose largest is each of the n in turn: u takes the 4 values of a grid.
    grid = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    unlike = grid[[len(set(row)) == 3 for row in grid.tolist()]]
    spared = (unlike.max(-1) < 3).mean()
    share = fallen(unlike, 3, np).mean()
    assert share == pytest.approx((unlike < 3).mean() - spared / 3)


def test_ranks_are_those_of_the_order_and_protected_ones_come_last() -> None:
    assert np.array_equal(ranks(ROWS, np.ones(4, bool), np), ROWS // 10 - 1)
    last = ranks(ROWS, ABLE, np)
    assert (last[:, ABLE] < 2).all()
    assert (last[:, ~ABLE] >= 2).all()


def test_equal_draws_keep_the_order_of_their_places() -> None:
    assert ranks(np.array([7, 7, 7]), np.ones(3, bool), np).tolist() == [0, 1, 2]


def test_places_keep_their_order() -> None:
    kept = ranks(ROWS, np.ones(4, bool), np) >= 2
    found = places(kept, 2, np)
    assert (np.diff(found) > 0).all()
    assert np.take_along_axis(kept, found, -1).all()


def test_torch_chooses_alike() -> None:
    u, able = torch.tensor(ROWS), torch.tensor(ABLE)
    word = threshold(0.5, torch)
    assert np.array_equal(fallen(u, word, torch, able), fallen(ROWS, word, np, ABLE))
    assert np.array_equal(ranks(u, able, torch), ranks(ROWS, ABLE, np))
    assert np.array_equal(places(u > 20, 2, torch), places(ROWS > 20, 2, np))


@pytest.mark.parametrize(
    ("rate", "n", "kept"), [(0.5, 3, 2), (0.5, 5, 2), (0.9, 10, 1), (1.0, 4, 1), (0.3, 0, 0)]
)
def test_how_many_stay(rate: float, n: int, kept: int) -> None:
    assert kept_count(rate, n) == kept
