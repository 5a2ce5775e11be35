import math

import numpy as np
import pytest
from scipy.integrate import quad

from dropkit.core.drop import Drop
from dropkit.core.reference import mask, normal
from dropkit.methods.variational_dropout import divergence, factor


def exact(alpha: float) -> float:
    """The divergence but for a constant: E log|1 + sqrt(alpha) z| - log(alpha) / 2, by quadrature."""

    def integrand(z: float) -> float:
        return math.log(abs(1 + math.sqrt(alpha) * z)) * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    pole = -1 / math.sqrt(alpha)
    below, above = (quad(integrand, *ends, limit=400)[0] for ends in ((-10, pole), (pole, 10)))
    return float(below + above - math.log(alpha) / 2)


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25, 0.5, 0.8])
def test_the_cubic_follows_the_divergence_to_two_hundredths_up_to_one(alpha: float) -> None:
    assert divergence(np, np.array(alpha)) == pytest.approx(exact(alpha) - exact(1.0), abs=0.02)


def test_the_divergence_falls_all_the_way_to_nothing_at_one() -> None:
    found = divergence(np, np.linspace(0.001, 1, 1000))
    assert (np.diff(found) < 0).all()
    assert found[-1] == 0


def test_the_constants_are_those_that_others_read_in_the_paper() -> None:
    # The sum below with c1 = 1.16145124, c2 = -1.50204118 and c3 = 0.58629921, by hand.
    assert divergence(np, np.array(0.5)) == pytest.approx(0.3137801, abs=1e-7)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_a_constant_variance_is_gaussian_dropout(rate: float) -> None:
    m = factor(np.array(rate / (1 - rate)), normal(3, (4, 5)))
    assert m == pytest.approx(mask(3, (4, 5), Drop(rate, noise="gaussian")), rel=1e-12, abs=1e-12)
