import itertools

import numpy as np
import pytest

from dropkit.core.local import deviation, variance


def test_the_variance_is_that_of_every_choice_of_two_valued_noise() -> None:
    x, weight, alpha = np.array([1.0, -2.0, 0.5]), np.array([[3.0, 1.0, -1.0], [0.2, 0.0, 2.0]]), 0.3
    signs = np.array(list(itertools.product((-1, 1), repeat=6))).reshape(-1, 2, 3)
    outputs = (weight * (1 + signs * alpha**0.5)) @ x
    assert variance(x, weight, alpha) == pytest.approx(outputs.var(axis=0), rel=1e-13)
    assert weight @ x == pytest.approx(outputs.mean(axis=0), rel=1e-13)


def test_each_weight_may_have_noise_of_its_own() -> None:
    alpha = np.array([[0.1, 0.2], [0.3, 0.4]])
    assert np.array_equal(variance(np.ones((1, 2)), np.ones((2, 2)), alpha), alpha.sum(axis=1)[None])


def test_where_nothing_is_random_the_deviation_is_zero() -> None:
    assert np.array_equal(deviation(np.array([0.0, 0.25, -1e-30])), [0.0, 0.5, 0.0])
