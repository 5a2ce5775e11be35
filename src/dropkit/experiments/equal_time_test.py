from dataclasses import asdict, replace

import pytest
from tests.made_up import plan, summaries

from dropkit.experiments.equal_time import at_equal_time
from dropkit.experiments.table_hash import table_hash
from dropkit.report.record import Point, Run, Scores

ERRORS = (0.4, 0.2, 0.3, 0.1)


def run(seconds: float, *errors: float) -> Run:
    points = (Point(epoch, Scores(0, 0), Scores(e, 2 * e)) for epoch, e in enumerate(errors, start=1))
    return Run("", "arm", 0, seconds, curve=tuple(points))


@pytest.mark.parametrize(
    ("seconds", "error"), [(2.0, 0.1), (4.0, 0.1), (5.5, 0.2), (8.0, 0.2), (16.0, 0.4), (40.0, 0.4)]
)
def test_a_run_counts_with_its_best_by_the_time_none_ended(seconds: float, error: float) -> None:
    assert at_equal_time(plan(), [run(seconds, *ERRORS)], [run(4.0, 0.5)]) == Scores(error, 2 * error)


def test_it_is_a_mean_over_pairs_each_with_its_own_time() -> None:
    found = at_equal_time(plan(), [run(8.0, *ERRORS), run(8.0, *ERRORS)], [run(2.0, 0.5), run(8.0, 0.5)])
    assert found is not None
    assert found.error == pytest.approx((0.4 + 0.1) / 2)


def test_none_comes_to_its_own_scores() -> None:
    assert at_equal_time(plan(), [run(3.0, *ERRORS)], [run(3.0, *ERRORS)]) == Scores(0.1, 0.2)


def test_without_seconds_nothing_is_said() -> None:
    assert at_equal_time(plan(), [run(0.0, *ERRORS)], [run(1.0, 0.5)]) is None
    assert at_equal_time(plan(), [], []) is None


def test_what_depends_on_seconds_is_not_in_the_hash_of_the_table() -> None:
    arms = summaries({"dropout": -1.0})
    timed = [replace(arm, at_equal_time=Scores(0.1, 0.2)) for arm in arms]
    assert asdict(timed[0]) != asdict(arms[0])
    assert table_hash([], [], timed, []) == table_hash([], [], arms, [])
