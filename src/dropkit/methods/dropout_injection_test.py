import numpy as np
import pytest
from scipy.stats import norm

from dropkit.methods.dropout_injection import best_scale, negative_log_likelihood

RNG = np.random.default_rng(0)
MEAN, VARIANCE, TARGET = RNG.normal(size=50), RNG.uniform(0.1, 2.0, 50), RNG.normal(size=50)


def test_the_likelihood_is_that_of_the_normal_law() -> None:
    expected = -norm(MEAN, VARIANCE**0.5).logpdf(TARGET).mean()
    assert negative_log_likelihood(np, MEAN, VARIANCE, TARGET) == pytest.approx(expected, rel=1e-12)


def test_no_other_scale_makes_the_targets_likelier() -> None:
    scale = best_scale(MEAN, VARIANCE, TARGET)
    best = negative_log_likelihood(np, MEAN, scale * VARIANCE, TARGET)
    for other in (0.5, 0.99, 1.01, 2.0):
        assert negative_log_likelihood(np, MEAN, other * scale * VARIANCE, TARGET) > best


def test_scaled_errors_have_mean_square_1() -> None:
    scaled = VARIANCE * best_scale(MEAN, VARIANCE, TARGET)
    assert ((TARGET - MEAN) ** 2 / scaled).mean() == pytest.approx(1.0)
