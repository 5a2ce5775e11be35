import math

import numpy as np
import pytest

from dropkit.methods.concrete_dropout import factor, penalty

MIDDLES = (np.arange(200_000) + 0.5) / 200_000


def logit(p: float) -> np.ndarray:
    return np.array(math.log(p / (1 - p)))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_in_the_limit_of_temperature_the_factor_is_inverted_dropouts(p: float) -> None:
    u = MIDDLES[::100]
    m = factor(np, u, logit(p), 1e-3)
    far = abs(u - (1 - p)) > 0.01
    assert np.allclose(m[far & (u > 1 - p)], 0, atol=1e-9)
    assert np.allclose(m[far & (u < 1 - p)], 1 / (1 - p), rtol=1e-9)


def test_half_of_the_gates_of_a_rate_of_one_half_are_open_whatever_the_temperature() -> None:
    assert factor(np, MIDDLES, logit(0.5), 0.7).mean() == pytest.approx(1, rel=1e-12)


def test_the_gate_is_the_published_one() -> None:
    u, p, t = np.array([0.2, 0.6, 0.9]), 0.3, 0.1
    drop = (math.log(p) - math.log(1 - p) + np.log(u) - np.log(1 - u)) / t
    published = (1 - 1 / (1 + np.exp(-drop))) / (1 - p)
    assert factor(np, u, logit(p), t) == pytest.approx(published, rel=1e-9, abs=1e-15)


def test_a_far_gate_overflows_nothing() -> None:
    m = factor(np, np.array([2.0**-33, 1 - 2.0**-33]), logit(0.5), 1e-6)
    assert m.tolist() == [2.0, 0.0]


def test_the_penalty_is_equation_3_for_weights_that_are_scaled_by_the_keep_probability() -> None:
    p, inputs, rows, scale, weights = 0.3, 5, 70, 0.5, np.array([[1.0, -2.0], [0.5, 3.0]])
    published = weights / (1 - p)
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    kl = scale**2 * (1 - p) / 2 * (published**2).sum() - inputs * entropy
    found = penalty(np, logit(p), (weights**2).sum(), inputs, rows, scale)
    assert found == pytest.approx(kl / rows, rel=1e-14)


def test_a_squared_error_is_the_log_likelihood_times_two_over_the_precision() -> None:
    arguments = (np, logit(0.2), 3.0, 4, 50, 0.1)
    assert penalty(*arguments, precision=8.0) == pytest.approx(penalty(*arguments) / 4, rel=1e-15)


def test_without_data_the_prior_wants_the_rate_whose_entropy_is_largest() -> None:
    rates = np.linspace(0.01, 0.99, 99)
    found = [penalty(np, logit(p), 0.0, 3, 10, 1.0) for p in rates]
    assert rates[int(np.argmin(found))] == pytest.approx(0.5)
