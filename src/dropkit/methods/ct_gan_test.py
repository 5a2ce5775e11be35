import numpy as np
import pytest

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.reference import mask
from dropkit.methods.ct_gan import METHOD, consistency

SCORES = np.array([1.0, 2.0, 0.0]), np.array([1.5, 2.0, 3.0])
FEATURES = np.array([[1.0, 2.0], [0.0, 0.0], [5.0, 1.0]]), np.array([[3.0, 2.0], [0.0, 4.0], [5.0, 1.0]])


def test_scores_and_a_tenth_of_the_features_count() -> None:
    rows = consistency(SCORES, FEATURES, 0.1, 0.0)
    assert rows == pytest.approx([0.25 + 0.1 * 2, 0.1 * 8, 9.0])
    assert consistency(SCORES, None, 0.1, 0.0) == pytest.approx([0.25, 0.0, 9.0])


def test_what_lies_within_the_bound_costs_nothing() -> None:
    assert consistency(SCORES, FEATURES, 0.1, 0.5) == pytest.approx([0.0, 0.3, 8.5])


def test_the_picture_shows_the_masks_of_two_passes() -> None:
    one, other = METHOD.picture(3)
    assert np.array_equal(one, mask(Key(3).fold("pass", 0), one.shape, Drop(0.5)))
    assert np.array_equal(other, mask(Key(3).fold("pass", 1), one.shape, Drop(0.5)))
