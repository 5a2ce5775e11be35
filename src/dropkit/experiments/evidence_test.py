import itertools
import math

import numpy as np
import pytest
from scipy import stats

from dropkit.experiments.evidence import effect_size, sign_flips, wins
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial

STUDIES = 1500


@pytest.mark.parametrize("overlap", [0.0, 0.2])
def test_the_ends_of_the_effect_size_are_shifts_of_the_noncentral_t(overlap: float) -> None:
    d = np.random.default_rng(0).normal(0.8, 1.0, 12)
    found = effect_size(d.tolist(), overlap)
    assert found is not None
    effect, low, high = found
    scale = math.sqrt(1 / 12 + overlap)
    assert effect == pytest.approx(d.mean() / d.std(ddof=1))
    tails = [stats.nct.sf(effect / scale, 11, low / scale), stats.nct.cdf(effect / scale, 11, high / scale)]
    assert tails == pytest.approx([0.025, 0.025], abs=1e-5)


def test_the_interval_of_the_effect_size_covers_as_often_as_it_says() -> None:
    rng, overlap = np.random.default_rng(3), 0.2
    d = 0.7 + rng.normal(size=(STUDIES, 1)) * math.sqrt(overlap) + rng.normal(size=(STUDIES, 8))
    ends = [found[1:] for row in d if (found := effect_size(row.tolist(), overlap)) is not None]
    covered = sum(low <= 0.7 <= high for low, high in ends)
    assert binomial(covered, STUDIES, 0.95) > share("study")


def test_no_spread_has_no_effect_size() -> None:
    assert effect_size([0.5] * 6) is None
    assert effect_size([0.0] * 6) is None


def test_ties_are_half_a_win() -> None:
    assert wins([-1.0, -2.0, 3.0, 0.0]) == pytest.approx(2.5 / 4)


def test_flips_are_counted_one_by_one() -> None:
    d = np.random.default_rng(1).normal(0.5, 1.0, 8)
    means = [abs(np.mean(d * signs)) for signs in itertools.product((-1, 1), repeat=8)]
    assert sign_flips(d.tolist()) == pytest.approx(np.mean(np.array(means) >= abs(d.mean()) - 1e-12))


def test_of_many_flips_a_fixed_sample_is_drawn() -> None:
    d = np.random.default_rng(1).normal(0.4, 1.0, 30).tolist()
    first = sign_flips(d)
    assert sign_flips(d) == first
    # So many pairs are nearly normal: both tests see the same, up to the drawing of 9,999 flips.
    assert binomial(round(first * 10_000) - 1, 9_999, stats.ttest_1samp(d, 0).pvalue) > share("study")


def test_no_difference_at_all_is_no_proof() -> None:
    assert sign_flips([0.0] * 6) == 1.0
