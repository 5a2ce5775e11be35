import math

import pytest

from dropkit.core.noise import TwoPoint
from dropkit.methods.alpha_dropout import alpha_dropout

# The constants of SELU as the authors' code states them.
LAMBDA, ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717
FLOOR = -LAMBDA * ALPHA


def affine(rate: float) -> tuple[float, float, float]:
    noise = alpha_dropout(rate).noise
    assert isinstance(noise, TwoPoint)
    return noise.affine(rate)


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.1, 0.5, 0.95])
def test_a_and_b_are_those_of_the_selu_fixed_point(rate: float) -> None:
    keep = 1 - rate
    a = math.sqrt(1 / (keep * (rate * FLOOR**2 + 1)))
    b = -a * rate * FLOOR
    assert affine(rate) == pytest.approx((a, b, a * FLOOR + b), rel=1e-14)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.95])
def test_an_input_of_mean_zero_and_variance_one_stays_so(rate: float) -> None:
    a, b, dropped = affine(rate)
    mean = (1 - rate) * b + rate * dropped
    second_moment = (1 - rate) * (a**2 + b**2) + rate * dropped**2
    assert (mean, second_moment) == pytest.approx((0, 1), abs=1e-14)
