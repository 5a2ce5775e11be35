import itertools

import numpy as np
import pytest

from dropkit.methods.contextual_dropout import (
    METHOD,
    arm,
    bernoulli_divergence,
    gaussian_divergence,
    mirrored,
)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_the_estimate_is_unbiased(rate: float) -> None:
    """Between its steps the estimate is linear in u: the midpoint rule on a grid that has them is exact."""
    kept, dropped = 1.7, -0.4
    u = (np.arange(400) + 0.5) / 400
    first, second = (np.where(draw < rate, dropped, kept) for draw in (u, 1 - u))
    exact = (dropped - kept) * rate * (1 - rate)
    assert arm(first, second, u).mean() == pytest.approx(exact, rel=1e-12)


def test_the_estimate_is_unbiased_for_units_that_act_together() -> None:
    rates, grid = (0.25, 0.6), (np.arange(20) + 0.5) / 20

    def loss(gone: tuple[bool, ...]) -> float:
        return 1.0 + 2.0 * gone[0] - 3.0 * gone[1] + 5.0 * gone[0] * gone[1]

    found = np.zeros(2)
    for u in itertools.product(grid, repeat=2):
        first = loss(tuple(a < r for a, r in zip(u, rates, strict=True)))
        second = loss(tuple(1 - a < r for a, r in zip(u, rates, strict=True)))
        found += arm(first, second, np.array(u)) / grid.size**2
    slopes = (2.0 + 5.0 * rates[1], -3.0 + 5.0 * rates[0])
    assert found == pytest.approx([s * r * (1 - r) for s, r in zip(slopes, rates, strict=True)], rel=1e-12)


def test_the_mirrored_draw_is_that_of_1_less_u() -> None:
    words = np.array([0, 1, 2**31, 2**32 - 1])
    assert (mirrored(words) + 0.5) / 2**32 == pytest.approx(1 - (words + 0.5) / 2**32)


def test_the_divergences_are_those_of_the_two_laws() -> None:
    rate, prior = 0.2, 0.7
    logs, prior_logs = ((np.log(p), np.log(1 - p)) for p in (rate, prior))
    expected = rate * np.log(rate / prior) + (1 - rate) * np.log((1 - rate) / (1 - prior))
    assert bernoulli_divergence(rate, logs, prior_logs) == pytest.approx(expected)
    a, b = rate / (1 - rate), prior / (1 - prior)
    expected = np.log(np.sqrt(b / a)) + a / (2 * b) - 0.5
    assert gaussian_divergence(np.log(a), np.log(b), np) == pytest.approx(expected)


def test_the_rates_of_the_picture_differ_from_sample_to_sample() -> None:
    dropped = (METHOD.picture() == 0).mean(1)
    assert dropped.max() - dropped.min() > 0.5
