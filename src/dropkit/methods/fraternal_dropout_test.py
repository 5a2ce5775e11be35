import itertools

import numpy as np
import pytest

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.reference import mask
from dropkit.methods.fraternal_dropout import METHOD, difference

X = np.array([0.5, -1.0, 2.0])
WEIGHTS = np.array([[1.0, 2.0, -1.0], [0.3, 0.1, 0.7]])
MASKS = np.array(list(itertools.product([0.0, 2.0], repeat=3)))  # of rate 0.5: all are equally likely
OUTPUTS = np.tanh(MASKS * X @ WEIGHTS.T)


def test_the_mean_over_two_masks_is_twice_the_variance_of_the_outputs() -> None:
    pairs = [difference(p, q) for p, q in itertools.product(OUTPUTS, repeat=2)]
    assert np.mean(pairs) == pytest.approx(2 * OUTPUTS.var(0).mean(), rel=1e-13)


def test_it_is_at_most_four_times_the_gap_to_the_pass_without_dropout() -> None:
    whole = np.tanh(X @ WEIGHTS.T)
    gap = np.mean([difference(p, whole) for p in OUTPUTS])
    fraternal = np.mean([difference(p, q) for p, q in itertools.product(OUTPUTS, repeat=2)])
    assert 0 < fraternal <= 4 * gap


def test_the_picture_shows_the_masks_of_two_passes() -> None:
    one, other = METHOD.picture(3)
    assert np.array_equal(one, mask(Key(3).fold("pass", 0), one.shape, Drop(0.4)))
    assert np.array_equal(other, mask(Key(3).fold("pass", 1), one.shape, Drop(0.4)))
