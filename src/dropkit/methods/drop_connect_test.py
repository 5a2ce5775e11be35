import itertools
import math

import numpy as np
import pytest

from dropkit.core.noise import Bernoulli
from dropkit.methods.drop_connect import drop_connect, preactivation_variance


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.75])
def test_the_moments_of_a_unit_are_those_over_all_masks(rate: float) -> None:
    weights, inputs = np.array([0.5, -2.0, 1.5, 0.25]), np.array([1.0, 0.5, -3.0, 2.0])
    factor = Bernoulli().affine(rate).scale
    masks = np.array(list(itertools.product([0.0, 1.0], repeat=4)))
    chances = np.where(masks == 1, 1 - rate, rate).prod(1)
    outputs = (masks * factor * weights * inputs).sum(1)
    mean = chances @ outputs
    assert mean == pytest.approx(weights @ inputs, rel=1e-14)
    power = weights**2 @ inputs**2
    assert preactivation_variance(power, rate) == pytest.approx(chances @ outputs**2 - mean**2, abs=1e-13)


def test_the_papers_variance_is_that_of_weights_that_do_not_grow() -> None:
    rate, power = 0.3, 2.5
    unscaled = rate * (1 - rate) * power
    assert preactivation_variance(power, rate) == pytest.approx(unscaled / (1 - rate) ** 2, rel=1e-14)


def test_nothing_varies_at_either_end() -> None:
    assert preactivation_variance(3.0, 0.0) == 0
    assert preactivation_variance(3.0, 1.0) == 0
    assert math.isfinite(preactivation_variance(3.0, 1 - 1e-9))


def test_every_weight_has_a_coin_of_its_own() -> None:
    assert drop_connect(0.4).groups.layout((3, 4, 2, 2)).sizes == (3, 4, 2, 2)
