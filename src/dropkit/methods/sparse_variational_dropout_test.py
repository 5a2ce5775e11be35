import math

import numpy as np
import pytest

from dropkit.methods.sparse_variational_dropout import THRESHOLD, divergence, log_ratio


def exact(log_alpha: float) -> float:
    """-log(alpha) / 2 + E log |1 + sqrt(alpha) z|: the divergence up to its constant, integrated."""
    from scipy.integrate import quad
    from scipy.stats import norm

    root = math.exp(log_alpha / 2)
    pole = -1 / root
    expected = sum(
        quad(lambda z: norm.pdf(z) * math.log(abs(1 + root * z) + 1e-300), *ends, limit=400)[0]
        for ends in ((-12, max(pole, -12)), (max(pole, -12), 12))
        if ends[0] < ends[1]
    )
    return -log_alpha / 2 + float(expected)


@pytest.mark.parametrize("log_alpha", [-6.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0])
def test_the_approximation_is_that_of_the_divergence(log_alpha: float) -> None:
    """The constant: at alpha -> infinity the divergence tends to E log |z| = -(gamma + log 2) / 2."""
    limit = -(np.euler_gamma + math.log(2)) / 2
    assert float(divergence(log_alpha)) == pytest.approx(exact(log_alpha) - limit, abs=0.01)


def test_a_weight_that_is_all_noise_costs_nothing() -> None:
    assert float(divergence(60.0)) == pytest.approx(0, abs=1e-12)
    assert (np.diff(divergence(np.linspace(-8, 8, 99))) < 0).all()


def test_log_alpha_is_clipped_and_finite_at_a_weight_of_zero() -> None:
    with np.errstate(all="raise"):
        assert log_ratio(-10.0, np.array([0.0, 1e6])).tolist() == [8.0, -8.0]
    assert float(log_ratio(-2.0, np.array(0.5))) == pytest.approx(-2 - 2 * math.log(0.5), rel=1e-12)


def test_the_threshold_is_a_rate_of_95_percent() -> None:
    alpha = math.exp(THRESHOLD)
    assert alpha / (1 + alpha) == pytest.approx(0.95, abs=0.005)
