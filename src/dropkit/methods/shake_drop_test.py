from fractions import Fraction

import numpy as np
import pytest

from dropkit.methods.shake_drop import METHOD, between, expected, factor


def test_the_factor_is_the_papers_formula_for_both_sides_of_the_coin() -> None:
    alpha = np.linspace(-1, 1, 9)
    for b in (0, 1):
        assert factor(np.full(9, b == 0), alpha, np) == pytest.approx(b + alpha - b * alpha, abs=1e-15)
    assert (factor(np.full(9, False), alpha, np) == 1).all()


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (0, 0), (-0.5, 2)])
@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_the_eval_map_is_the_mean_of_the_factor(rate: float, low: float, high: float) -> None:
    """The mean of a uniform number is that of evenly spaced ones, summed here in fractions."""
    steps = [between(Fraction(2 * i + 1, 20), Fraction(low), Fraction(high)) for i in range(10)]
    mean = sum(steps, Fraction()) / 10
    assert expected(rate, low, high) == float((1 - Fraction(rate)) + Fraction(rate) * mean)


def test_the_picture_shakes_some_samples_whole_and_leaves_the_others() -> None:
    drawn = METHOD.picture(3)
    assert (drawn == drawn[:, :1]).all()
    assert 0 < (drawn == 1).mean() < 1
    assert drawn.min() < 0
