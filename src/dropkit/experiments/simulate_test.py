import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from dropkit.experiments.power import Design
from dropkit.experiments.simulate import Truth, errors
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial

Array = npt.NDArray[Any]

STUDIES = 2000
SHARED = 0.15 / 0.70


def above(count: int) -> float:
    """The probability of so many errors or more where each study has one with probability 5 %."""
    return float(stats.binom.sf(count - 1, STUDIES, 0.05))


@pytest.mark.parametrize("overlap", [0.0, SHARED])
def test_a_study_errs_no_more_often_than_it_says(overlap: float) -> None:
    found = errors(Design(10, overlap, comparisons=8), STUDIES)
    assert found.false_better <= found.false_difference
    for false in (found.false_difference, found.false_equivalent, found.false_no_better):
        assert above(false) > share("study")
    assert binomial(found.covered, STUDIES, 0.95) > share("study")
    assert binomial(found.found, STUDIES, 0.8) > share("study")


def test_a_plain_test_of_shared_rows_would_err_much_more_often() -> None:
    r = SHARED / (1 + SHARED)
    plain = errors(Design(10, overlap=0.0, comparisons=8), STUDIES, Truth(correlation=r))
    assert above(plain.false_difference) < share("study")
    assert above(plain.plain_difference) < share("study")
    assert above(plain.false_equivalent) < share("study")


def fisher(one: Array, two: Array, correlation: float) -> float:
    """Two-sided p value of a correlation of normal numbers: Fisher's z."""
    z = np.arctanh(np.corrcoef(one, two)[0, 1]) - np.arctanh(correlation)
    return float(2 * stats.norm.sf(abs(z) * math.sqrt(len(one) - 3)))


def test_what_is_drawn_has_the_correlations_that_are_asked_for() -> None:
    d = Truth(correlation=0.3).draw(Design(6, comparisons=8), studies=STUDIES, seed=1)
    assert fisher(d[:, 0, 0], d[:, 0, 1], 0.3) > share("study")
    assert fisher(d[:, 0, 0], d[:, 1, 0], 0.5) > share("study")
    assert fisher(d[:, 0, 0], d[:, 4, 0], 0.7) > share("study")


@pytest.mark.parametrize("freedom", [8.0, math.inf])
def test_tails_keep_their_variance(freedom: float) -> None:
    d = Truth(freedom=freedom).draw(Design(10), studies=STUDIES, seed=2).ravel()
    assert stats.ttest_1samp(d**2, 1.0).pvalue > share("study")
    heavy = stats.binom.sf((np.abs(d) > 4).sum() - 1, d.size, 2 * stats.norm.sf(4)) < share("study")
    assert heavy == math.isfinite(freedom)
