from itertools import product

import numpy as np
import pytest

from dropkit import mask
from dropkit.core.check import DropkitError
from dropkit.methods.drop_attention import coins, renormalized

PATTERNS = np.array(list(product([False, True], repeat=4)))
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4])


def test_every_pattern_leaves_a_distribution_in_the_old_proportions() -> None:
    left = renormalized(WEIGHTS, PATTERNS, np)
    assert left.sum(-1) == pytest.approx(np.ones(16))
    some = PATTERNS.any(-1)
    assert (left[some] == 0).tolist() == (~PATTERNS[some]).tolist()
    ratio = left[some] / np.where(PATTERNS[some], WEIGHTS, np.inf)
    assert (ratio.max(-1, keepdims=True) * PATTERNS[some]) == pytest.approx(ratio)
    assert np.array_equal(left[~some][0], WEIGHTS)


def test_equal_weights_keep_their_mean_and_others_do_not() -> None:
    chance = 0.3 ** (~PATTERNS).sum(-1) * 0.7 ** PATTERNS.sum(-1)
    assert chance @ renormalized(np.full(4, 0.25), PATTERNS, np) == pytest.approx(np.full(4, 0.25))
    mean = chance @ renormalized(WEIGHTS, PATTERNS, np)
    assert mean[0] > 0.1
    assert mean[3] < 0.4


def test_a_column_is_dropped_for_all_queries_and_an_element_for_one() -> None:
    shape = (3, 2, 5, 40)
    column = mask(1, shape, coins(0.4))
    assert np.array_equal(column, np.broadcast_to(column[:, :, :1], shape))
    element = mask(1, shape, coins(0.4, "element"))
    assert not np.array_equal(element, np.broadcast_to(element[:, :, :1], shape))


def test_windows_fall_together() -> None:
    gone = mask(1, (1, 1, 1, 4000), coins(0.2, "element", 3))[0, 0, 0] == 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], gone, [0]])))
    lengths = edges[1::2] - edges[::2]
    assert lengths[1:-1].min() == 3


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(DropkitError, match="unit must be one of 'column', 'element', got 'row'"):
        coins(0.1, "row")
    with pytest.raises(DropkitError, match="block_size must be a whole number of at least 1, got 0"):
        coins(0.1, window=0)
