from typing import Any

import numpy as np
import pytest
from scipy import stats

from dropkit.experiments.inference import Paired, estimate, holm, paired_test
from dropkit.testing.registry import share
from dropkit.testing.stats import binomial

STUDIES, PAIRS, ALPHA = 1500, 10, 0.05


def ends(test: Paired) -> tuple[float, float]:
    assert test.low is not None
    assert test.high is not None
    return test.low, test.high


def test_without_overlap_it_is_the_paired_t_test() -> None:
    d = np.random.default_rng(0).normal(0.3, 1.0, 12).tolist()
    mine, theirs = paired_test(d), stats.ttest_1samp(d, 0.0)
    assert mine.p == pytest.approx(theirs.pvalue)
    assert ends(mine) == pytest.approx(tuple(theirs.confidence_interval(0.95)))


def test_overlap_enters_the_variance_as_nadeau_and_bengio_write() -> None:
    d = [1.0, 2.0, 4.0, 3.0]
    t = np.mean(d) / np.sqrt((1 / 4 + 0.2) * np.var(d, ddof=1))
    assert paired_test(d, overlap=0.2).p == pytest.approx(2 * stats.t.sf(t, 3))


def null_studies(correlation: float) -> Any:
    """Differences of pairs that share rows: equicorrelated, with a true mean of zero."""
    draw = np.random.default_rng(1).normal
    shared = draw(size=(STUDIES, 1)) * np.sqrt(correlation)
    return shared + draw(size=(STUDIES, PAIRS)) * np.sqrt(1 - correlation)


def false_alarms(overlap: float, correlation: float) -> int:
    return sum(paired_test(d, overlap).p < ALPHA for d in null_studies(correlation))


def test_false_alarms_stay_at_alpha_where_the_plain_test_has_many() -> None:
    # At the correlation r = n_test / (n_train + n_test) that the correction assumes: overlap = r / (1 - r).
    r = 0.15 / 0.85
    assert binomial(false_alarms(r / (1 - r), r), STUDIES, ALPHA) > share("study")
    assert false_alarms(0.0, r) > 2 * ALPHA * STUDIES
    assert binomial(false_alarms(0.0, r), STUDIES, ALPHA) < share("study")


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    r = 0.15 / 0.85
    found = [ends(paired_test(d, r / (1 - r))) for d in null_studies(r)]
    covered = sum(low <= 0 <= high for low, high in found)
    assert binomial(covered, STUDIES, 0.95) > share("study")


# What is left of equal differences when each comes out of its own subtraction: never exactly equal.
ROUNDED = [0.3 - 0.2, 0.4 - 0.3, 0.5 - 0.4, 0.6 - 0.5, 0.7 - 0.6, 0.8 - 0.7]


@pytest.mark.parametrize("differences", [[0.5] * 6, ROUNDED])
def test_equal_differences_are_no_proof_beyond_the_sign_test(differences: list[float]) -> None:
    found = paired_test(differences)
    assert found.p == pytest.approx(2 / 64)
    assert (found.sd, found.low, found.high) == (0, None, None)


def test_no_difference_at_all_is_no_proof_of_anything() -> None:
    assert paired_test([0.0] * 6) == Paired(0.0, 0.0, None, None, 1.0)


def test_equal_signs_prove_less_where_pairs_share_rows() -> None:
    # Three normals of correlation r all have one sign with probability 1/4 + 3 arcsin(r) / (2 pi): Sheppard.
    r = 0.3
    assert paired_test([1.0] * 3, r / (1 - r)).p == pytest.approx(1 / 4 + 3 * np.arcsin(r) / (2 * np.pi))


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.6, 0.7], [1.0, 1.0]),
        ([0.02], [0.02]),
        ([0.001, 0.001, 0.9], [0.003, 0.003, 0.9]),
    ],
)
def test_holm_steps_down_and_keeps_the_order_given(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


def test_holm_corrects_each_row_alone() -> None:
    p = np.random.default_rng(0).random((4, 3))
    assert holm(p).tolist() == [holm(row).tolist() for row in p]


def test_one_sided_p_values_are_scipys_and_mirror_each_other() -> None:
    d = np.random.default_rng(0).normal(0.3, 1.0, (4, 12))
    found = estimate(d)
    assert found.below(0.5) == pytest.approx(stats.ttest_1samp(d, 0.5, axis=-1, alternative="less").pvalue)
    assert found.above(0.5) == pytest.approx(1 - found.below(0.5))


def test_comparisons_with_and_without_spread_stand_side_by_side() -> None:
    found = estimate([[1.0, 2.0, 4.0, 3.0], [0.5] * 4, [0.0] * 4])
    assert found.p()[0] == pytest.approx(paired_test([1.0, 2.0, 4.0, 3.0]).p)
    assert found.p()[1:].tolist() == pytest.approx([2 / 16, 1.0])
    assert found.below(1.0)[1:].tolist() == pytest.approx([1 / 16, 1 / 16])
