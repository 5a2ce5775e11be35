import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit, ndtr

from dropkit.core.local import carried
from dropkit.methods.fast_dropout import Moments, dropped_variance, relu_moments, sigmoid_moments

CASES = pytest.mark.parametrize(
    ("mean", "variance"), [(0.0, 1.0), (2.0, 0.5), (-1.5, 4.0), (0.3, 1e-3), (-4.0, 9.0)]
)


def over(function: Callable[[float], float], mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of a function of a normal number, by quadrature."""
    sd = math.sqrt(variance)

    def moment(power: int) -> float:
        def integrand(z: float) -> float:
            return function(mean + sd * z) ** power * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

        return float(quad(integrand, -12, 12, points=[min(max(-mean / sd, -12), 12)], limit=200)[0])

    return moment(1), moment(2) - moment(1) ** 2


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_the_moments_are_those_of_every_mask(rate: float) -> None:
    x, weight = np.array([1.0, -2.0, 0.5, 3.0]), np.array([[0.3, 1.0, -1.0, 0.2], [1.0, 0.0, 2.0, -0.7]])
    masks = np.array(list(itertools.product((0, 1), repeat=4)))
    chances = np.where(masks, 1 - rate, rate).prod(axis=1)
    outputs = (masks * x / (1 - rate)) @ weight.T
    mean = chances @ outputs
    assert mean == pytest.approx(weight @ x, rel=1e-12)
    found = carried(dropped_variance(x, 0.0, rate), weight)
    assert found == pytest.approx(chances @ (outputs - mean) ** 2, rel=1e-12)


def test_an_input_that_is_random_itself_adds_its_variance_before_it_is_dropped() -> None:
    values, chances, rate = np.array([1.0, 4.0]), np.array([0.25, 0.75]), 0.3
    mean, variance = chances @ values, chances @ values**2 - (chances @ values) ** 2
    exact = (1 - rate) * chances @ (values / (1 - rate)) ** 2 - mean**2
    assert dropped_variance(mean, variance, rate) == pytest.approx(exact, rel=1e-14)


@CASES
def test_relu_has_the_moments_of_quadrature(mean: float, variance: float) -> None:
    found = relu_moments(np, Moments(np.array(mean), np.array(variance)), ndtr)
    expected = over(lambda x: max(x, 0.0), mean, variance)
    assert (float(found.mean), float(found.variance)) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_without_variance_relu_is_itself() -> None:
    found = relu_moments(np, Moments(np.array([-1.0, 0.0, 2.0]), np.zeros(3)), ndtr)
    assert found.mean.tolist() == [0, 0, 2]
    assert found.variance.tolist() == [0, 0, 0]


@CASES
def test_sigmoid_has_the_moments_of_quadrature_to_two_hundredths(mean: float, variance: float) -> None:
    found = sigmoid_moments(np, Moments(np.array(mean), np.array(variance)))
    expected = over(lambda x: float(expit(x)), mean, variance)
    assert (float(found.mean), float(found.variance)) == pytest.approx(expected, abs=0.02)


def test_the_square_of_a_sigmoid_meets_its_double_where_it_is_one_half() -> None:
    point = -math.log(math.sqrt(2) - 1)
    found = sigmoid_moments(np, Moments(np.array(point), np.array(0.0)))
    assert found.mean**2 == pytest.approx(0.5)
    assert found.variance == pytest.approx(0, abs=1e-15)
