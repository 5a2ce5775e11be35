from typing import Any

import numpy as np
import pytest
from scipy import stats

from dropkit.experiments.decision import (
    BETTER,
    EQUIVALENT,
    NO_BETTER,
    OPEN,
    WORSE,
    as_good,
    carriers,
    decide,
)
from dropkit.experiments.inference import holm

RNG = np.random.default_rng(0)
OFF = float("nan")


def around(mean: float, sd: float = 0.1, pairs: int = 10) -> Any:
    """Differences with exactly this mean and standard deviation."""
    z = stats.zscore(np.random.default_rng(5).normal(size=pairs), ddof=1)
    return (mean + sd * z).tolist()


@pytest.mark.parametrize(
    ("mean", "sd", "outcome"),
    [
        (-2.0, 0.5, BETTER),
        (2.0, 0.5, WORSE),
        (0.1, 0.2, EQUIVALENT),
        (0.9, 1.5, NO_BETTER),
        (-0.2, 2.0, OPEN),
        (-0.3, 0.2, EQUIVALENT),
    ],
)
def test_each_outcome_has_its_numbers(mean: float, sd: float, outcome: str) -> None:
    assert decide([around(mean, sd)], [1.0]).outcome.tolist() == [outcome]


def test_without_a_margin_nothing_is_equivalent() -> None:
    found = decide([around(0.0), around(0.0)], [OFF, 1.0])
    assert found.outcome.tolist() == [OPEN, EQUIVALENT]
    assert np.isnan(found.p_equivalent).tolist() == np.isnan(found.p_no_better).tolist() == [True, False]


def test_two_one_sided_tests_are_scipys() -> None:
    d = around(0.3, 1.0)
    found = decide([d], [1.0])
    lower = stats.ttest_1samp(d, -1.0, alternative="greater").pvalue
    upper = stats.ttest_1samp(d, 1.0, alternative="less").pvalue
    assert found.p_no_better == pytest.approx(lower)
    assert found.p_equivalent == pytest.approx(max(lower, upper))


def test_each_kind_of_claim_is_corrected_for_all_of_its_kind() -> None:
    d = [around(mean, 1.0) for mean in (0.0, 0.3, -0.3, 0.1)]
    alone = [decide([each], [1.0]) for each in d]
    found = decide(d, [1.0] * 4)
    assert found.p_adjusted == pytest.approx(holm([float(each.p[0]) for each in alone]))
    assert found.p_equivalent == pytest.approx(holm([float(each.p_equivalent[0]) for each in alone]))
    assert found.p_no_better == pytest.approx(holm([float(each.p_no_better[0]) for each in alone]))


def test_a_comparison_without_a_margin_costs_the_others_nothing() -> None:
    one, more = decide([around(0.0)], [1.0]), decide([around(0.0)] * 3, [1.0, OFF, OFF])
    assert more.p_equivalent[0] == one.p_equivalent[0]


def test_many_studies_at_once_are_judged_like_each_alone() -> None:
    d = RNG.normal(size=(5, 3, 8))
    margins = [0.5, OFF, 1.0]
    together = decide(d, margins, 0.2)
    for study, row in zip(d, together.outcome, strict=True):
        assert decide(study, margins, 0.2).outcome.tolist() == row.tolist()


def test_shared_rows_make_every_claim_harder() -> None:
    for mean, margin in ((-1.0, OFF), (0.0, 1.0)):
        alone, shared = (decide([around(mean, 1.0)], [margin], overlap) for overlap in (0.0, 0.3))
        assert alone.outcome[0] != OPEN
        assert shared.outcome[0] == OPEN


def test_equal_differences_are_judged_by_the_sign_test() -> None:
    found = decide([[0.0] * 6, [0.5] * 6], [0.1, 0.1])
    assert found.p_equivalent.tolist() == pytest.approx([2 / 64, 1.0])
    assert found.outcome.tolist() == [EQUIVALENT, NO_BETTER]


def test_the_pair_that_carries_a_result_is_named() -> None:
    # Without the fourth pair the mean is smaller beside its error.
    d = [-0.7, -0.6, -0.2, -1.1, -1.3]
    (named,) = carriers([d], [OFF])
    left = [decide([np.delete(d, pair)], [OFF]).outcome[0] for pair in range(5)]
    assert named == (3,)
    assert [outcome == OPEN for outcome in left] == [pair in named for pair in range(5)]


def test_a_clear_or_an_open_result_is_carried_by_nobody() -> None:
    assert carriers([around(-2.0, 0.5), around(0.0, 2.0)], [OFF, OFF]) == [(), ()]
    assert carriers([[-1.0, -1.1, -1.2]], [OFF]) == [()]


def test_a_pair_that_hides_a_result_is_not_taken_away_to_get_one() -> None:
    d = [-1.0, -1.1, -0.9, -1.05, -0.95, 3.0]
    assert decide([d], [OFF]).outcome.tolist() == [OPEN]
    assert decide([d[:-1]], [OFF]).outcome.tolist() == [BETTER]
    assert carriers([d], [OFF]) == [()]


def test_a_pair_without_which_all_others_are_equal_carries_nothing() -> None:
    d = [-0.02] + [0.0] * 5
    assert decide([d], [0.5], 0.2).outcome.tolist() == [EQUIVALENT]
    assert decide([d[1:]], [0.5], 0.2).outcome.tolist() != [EQUIVALENT]
    assert carriers([d], [0.5], 0.2) == [()]


def test_the_simpler_is_as_good_only_where_it_is_shown() -> None:
    best = around(-2.0, 0.5)
    near, far, noisy = (
        np.add(best, around(shift, sd)).tolist() for shift, sd in ((0.1, 0.1), (1, 0.1), (0, 3))
    )
    rows = [near, best, far, noisy]
    assert as_good(rows, 1, 0.5, 0.0, 0.05) == [0, 1]
    assert as_good([best], 0, 0.5, 0.0, 0.05) == [0]
    assert as_good(rows, 1, 0.05, 0.0, 0.05) == [1]
