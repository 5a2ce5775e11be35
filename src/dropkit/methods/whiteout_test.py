import numpy as np
import pytest

from dropkit.methods.whiteout import METHOD, contribution, variance

W = np.array([0.5, -2.0, 0.01, 3.0])


@pytest.mark.parametrize("gamma", [0.25, 1.0, 1.75])
@pytest.mark.parametrize(("sigma", "ridge"), [(0.4, 0.0), (0.0, 0.3), (0.4, 0.3)])
def test_noise_times_its_weight_has_the_variance_of_the_contribution(
    gamma: float, sigma: float, ridge: float
) -> None:
    expected = W**2 * variance(W, sigma, gamma, ridge)
    assert contribution(W, sigma, gamma, ridge) == pytest.approx(expected, rel=1e-14)


def test_the_sum_is_the_lasso_at_gamma_1_and_the_ridge_without_sigma() -> None:
    """Theorem 1: what the expected loss of a linear model is penalised by."""
    assert contribution(W, 0.4, 1.0, 0.0).sum() == pytest.approx(0.16 * abs(W).sum())
    assert contribution(W, 0.0, 1.0, 0.3).sum() == pytest.approx(0.3 * (W**2).sum())
    assert contribution(W, 0.4, 1.0, 0.3).sum() == pytest.approx(0.16 * abs(W).sum() + 0.3 * (W**2).sum())


def test_small_weights_have_the_larger_noise() -> None:
    drawn = variance(np.array([0.1, 1.0, 10.0]), 0.5, 1.0, 0.0)
    assert drawn == pytest.approx([2.5, 0.25, 0.025])


def test_a_weight_of_0_contributes_nothing() -> None:
    assert contribution(np.zeros(1), 0.5, 1.9, 0.2) == 0


def test_the_picture_spreads_around_1() -> None:
    drawn = METHOD.picture()
    assert drawn.min() < 1 < drawn.max()
