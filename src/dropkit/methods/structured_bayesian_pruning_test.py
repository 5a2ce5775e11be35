import math

import numpy as np
import pytest
from scipy import integrate, special, stats

from dropkit.methods.structured_bayesian_pruning import (
    HIGH,
    LOW,
    Special,
    divergence,
    mean,
    sample,
    signal_to_noise,
)

SCIPY = Special(np, special.log_ndtr, special.ndtri)
CASES = [(0.0, 0.3), (0.0, 2.0), (-3.0, 1.0), (-8.0, 4.0), (1.5, 0.7), (-18.0, 2.5), (0.0, math.exp(-5))]
every_case = pytest.mark.parametrize(("mu", "sigma"), CASES)


def cut(mu: float, sigma: float) -> stats.rv_continuous:
    return stats.truncnorm((LOW - mu) / sigma, (HIGH - mu) / sigma, mu, sigma)


def moment(mu: float, sigma: float, f: object) -> float:
    """The expectation of f over the logarithm of the noise, integrated."""
    law = cut(mu, sigma)
    centre = min(max(mu, LOW), HIGH)
    ends = max(LOW, centre - 12 * sigma), min(HIGH, centre + 12 * sigma)
    return float(integrate.quad(lambda x: f(x, law) * law.pdf(x), *ends, limit=400)[0])  # type: ignore[operator]  # a function of both kinds of law


@every_case
def test_draws_are_the_quantiles_of_the_cut_normal_distribution(mu: float, sigma: float) -> None:
    u = np.linspace(0.01, 0.99, 33)
    assert np.log(sample(mu, sigma, u, SCIPY)) == pytest.approx(cut(mu, sigma).ppf(u), rel=1e-6, abs=1e-9)


@every_case
def test_mean_and_ratio_are_the_integrals(mu: float, sigma: float) -> None:
    first, second = (moment(mu, sigma, lambda x, law, k=k: math.exp(k * x)) for k in (1, 2))
    variance = moment(mu, sigma, lambda x, law: (math.exp(x) - first) ** 2)
    assert float(mean(mu, sigma, SCIPY)) == pytest.approx(first, rel=1e-7)
    assert second == pytest.approx(variance + first**2, rel=1e-6)
    assert float(signal_to_noise(mu, sigma, SCIPY)) == pytest.approx(first / math.sqrt(variance), rel=1e-5)


@every_case
def test_the_divergence_is_the_integral(mu: float, sigma: float) -> None:
    prior = -math.log(HIGH - LOW)
    expected = moment(mu, sigma, lambda x, law: law.logpdf(x) - prior)
    assert float(divergence(mu, sigma, SCIPY)) == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_noise_that_is_the_prior_costs_nothing_and_is_pruned() -> None:
    assert float(divergence(-10.0, 1e4, SCIPY)) == pytest.approx(0, abs=1e-6)
    assert float(signal_to_noise(-10.0, 1e4, SCIPY)) < 1


@pytest.mark.parametrize("mu", [-20.0, -10.0, 0.0, 5.0])
@pytest.mark.parametrize("log_sigma", [-20.0, -5.0, 0.0, 5.0])
def test_no_corner_of_the_parameters_overflows(mu: float, log_sigma: float) -> None:
    sigma = np.array(math.exp(log_sigma))
    for value in (
        mean(mu, sigma, SCIPY),
        signal_to_noise(mu, sigma, SCIPY),
        divergence(mu, sigma, SCIPY),
        sample(mu, sigma, np.array([1e-9, 0.5, 1 - 1e-9]), SCIPY),
    ):
        assert np.isfinite(value).all()
    drawn = sample(mu, sigma, np.array([1e-9, 0.5, 1 - 1e-9]), SCIPY)
    assert (drawn >= math.exp(LOW) * (1 - 1e-12)).all()
    assert (drawn <= 1).all()
