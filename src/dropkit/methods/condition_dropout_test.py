import numpy as np
import pytest

from dropkit.methods.condition_dropout import METHOD, guided


def test_no_strength_is_the_conditional_model_and_minus_one_the_other() -> None:
    c, u = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    assert np.array_equal(guided(c, u, 0.0), c)
    assert np.array_equal(guided(c, u, -1.0), u)


def test_the_guidance_scale_of_others_is_one_more() -> None:
    c, u, scale = np.array([1.0, -2.0]), np.array([0.5, 3.0]), 7.5
    assert guided(c, u, scale - 1) == pytest.approx(u + scale * (c - u))


def test_guided_gaussians_move_by_their_difference() -> None:
    """For scores of N(m, 1) and N(0, 1), guidance is the score of N((1 + w) m, 1)."""
    x, m, w = np.linspace(-3, 3, 7), 1.2, 2.0
    assert guided(m - x, -x, w) == pytest.approx((1 + w) * m - x)


def test_whole_conditions_fall_and_nothing_is_scaled() -> None:
    drawn = METHOD.picture(3)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert (drawn == drawn[:, :1]).all()
