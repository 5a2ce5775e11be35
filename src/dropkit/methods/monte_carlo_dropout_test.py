import itertools

import numpy as np
import pytest

from dropkit.core.reference import apply
from dropkit.methods.monte_carlo_dropout import monte_carlo_dropout


def test_mean_and_variance_over_all_masks_have_the_closed_form_of_a_linear_model() -> None:
    x, w, rate = np.array([1.0, -2.0, 3.0]), np.array([0.5, 1.0, -1.0]), 0.2
    scale = monte_carlo_dropout(rate).noise.affine(rate).scale
    kept = np.array(list(itertools.product([0, 1], repeat=3)))
    chance = np.where(kept == 1, 1 - rate, rate).prod(1)
    passes = (kept * x * scale) @ w
    mean = chance @ passes
    assert mean == pytest.approx(x @ w)
    assert chance @ (passes - mean) ** 2 == pytest.approx(rate / (1 - rate) * ((x * w) ** 2).sum())


def test_each_pass_has_a_mask_of_its_own() -> None:
    x = np.ones((4, 32))
    first, second = (apply(x, monte_carlo_dropout(0.5), key=k, mode="mc") for k in (1, 2))
    assert not np.array_equal(first, second)
