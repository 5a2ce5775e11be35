import math

import numpy as np
import pytest
from scipy.integrate import quad

from dropkit.methods.information_dropout import FLOOR, factor, log_normal, log_uniform, strength


def density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def test_the_strength_ends_at_the_cap_of_the_paper() -> None:
    assert strength(np.array([0.0, 0.5, 1.0]), 0.7).tolist() == [FLOOR, (0.7 + FLOOR) / 2, 0.7]


def test_the_factor_has_median_1_and_the_mean_of_a_log_normal() -> None:
    alpha = 0.7
    mean = quad(lambda z: float(factor(np, alpha, z)) * density(z), -12, 12)[0]
    assert mean == pytest.approx(math.exp(alpha**2 / 2), rel=1e-9)
    assert factor(np, alpha, 0.0) == 1


def test_nothing_is_paid_at_the_cap_and_one_nat_an_e_th_of_it() -> None:
    assert log_uniform(np, np.array([0.7, 0.7 / math.e]), 0.7).tolist() == pytest.approx([0, 1], abs=1e-15)


@pytest.mark.parametrize(("output", "alpha", "mean", "deviation"), [(0.3, 0.2, -0.5, 1.3), (-1, 0.7, 0, 0.5)])
def test_the_divergence_of_the_log_normal_prior_is_that_of_two_normal_laws(
    output: float, alpha: float, mean: float, deviation: float
) -> None:
    def integrand(z: float) -> float:
        ours = math.log(density(z) / alpha)
        prior = math.log(density((output + alpha * z - mean) / deviation) / deviation)
        return (ours - prior) * density(z)

    found = log_normal(np, output, np.array(alpha), mean, np.array(deviation))
    assert found == pytest.approx(quad(integrand, -12, 12)[0], rel=1e-8)
