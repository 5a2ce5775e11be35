import numpy as np
import pytest
from scipy.stats import norm

from dropkit.methods.dropout_injection import best_scale, calibrated_scale, negative_log_likelihood

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


def signed_area(scale: float) -> float:
    """Expected minus observed share of targets inside, over the levels 0.1 ... 0.9."""
    levels = np.arange(1, 10) / 10
    z = norm.ppf((1 + levels) / 2)[:, None]
    inside = abs(TARGET - MEAN) <= z * (scale * VARIANCE) ** 0.5
    return float((levels - inside.mean(1)).sum())


def test_calibrated_intervals_hold_as_many_targets_as_they_should_on_average() -> None:
    scale = float(calibrated_scale(np, MEAN, VARIANCE, TARGET))
    assert signed_area(scale) == pytest.approx(0, abs=1e-12)
    assert signed_area(0.9 * scale) > 0 > signed_area(1.1 * scale)


def test_targets_of_the_law_itself_need_no_calibration() -> None:
    target = norm.ppf((np.arange(10_000) + 0.5) / 10_000)
    one = calibrated_scale(np, np.zeros(10_000), np.ones(10_000), target)
    assert one == pytest.approx(1, abs=1e-3)
    assert calibrated_scale(np, np.zeros(10_000), np.full(10_000, 4.0), target) == pytest.approx(one / 4)
