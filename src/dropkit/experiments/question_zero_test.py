from dataclasses import replace
from typing import Any

import pytest

from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.question_zero import ROOM, UNDERFITS, UNKNOWN, answer, size_arms
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import Fit, Point, Run, Scores

NONE = Arm("none", "none", learning_rate=0.1)


@pytest.fixture
def plan(arrays: Any) -> Plan:
    return make_plan(array_dataset(*arrays), ModelSource("mlp"), Options())[0]


def run(arm: Arm, pair: int, train: float, select: float, end: float) -> Run:
    learned, new = Scores(train, train), Scores(select, select)
    curve = (Point(1, Scores(9, 9), new), Point(2, learned, new), Point(3, Scores(end, end), new))
    return Run("", arm.name, pair, 1.0, 2, 9, new, new, curve)


def runs(
    train: float, *select: float, end: float | None = None, spread: float = 0.001, noise: float = 0.001
) -> list[Run]:
    last = train if end is None else end
    quarter, half = size_arms(NONE)
    smaller = [
        made
        for pair in range(3)
        for made in (
            run(quarter, pair, train, select[0] + spread * (pair - 1), last),
            run(half, pair, train, select[1], last),
        )
    ]
    ends = [last + noise * (-1) ** pair for pair in range(10)]
    return smaller + [run(NONE, pair, train, select[2], at) for pair, at in enumerate(ends)]


def fit(plan: Plan, train: float, *select: float, **more: float) -> Fit:
    found = answer(plan, runs(train, *select, **more))
    assert found is not None
    return found


def test_shares_of_the_rows_keep_all_other_settings() -> None:
    assert [replace(arm, name="none", family="none", share=1.0) for arm in size_arms(NONE)] == [NONE, NONE]
    assert [arm.share for arm in size_arms(NONE)] == [0.25, 0.5]


def test_training_scores_are_those_of_the_kept_weights(plan: Plan) -> None:
    found = fit(plan, 0.05, 0.4, 0.3, 0.2, end=0.0)
    assert found.shares == (0.25, 0.5, 1.0)
    assert [each.error for each in found.train] == pytest.approx([0.05] * 3)
    assert [each.error for each in found.select] == pytest.approx([0.4, 0.3, 0.2])


@pytest.mark.parametrize(("train", "kind"), [(0.19, UNDERFITS), (0.25, UNDERFITS), (0.1, ROOM)])
def test_a_network_that_fits_its_own_rows_no_better_underfits(plan: Plan, train: float, kind: str) -> None:
    assert fit(plan, train, 0.4, 0.3, 0.2).answer == kind


def test_a_gap_that_may_be_small_by_chance_is_not_called_underfitting(plan: Plan) -> None:
    assert fit(plan, 0.19, 0.4, 0.3, 0.2, noise=0.1).answer == UNKNOWN
    few = [each for each in runs(0.19, 0.4, 0.3, 0.2, noise=0.01) if each.pair < 2]
    found = answer(plan, few)
    assert found is not None
    assert found.answer == UNKNOWN


def test_what_fits_its_rows_when_it_is_trained_on_does_not_underfit(plan: Plan) -> None:
    assert fit(plan, 0.19, 0.4, 0.3, 0.2, end=0.1).answer == ROOM


def test_what_is_no_better_than_a_guess_may_have_nothing_to_learn(plan: Plan) -> None:
    guess = plan.data.guess_error
    assert fit(plan, guess, guess, guess, guess).answer == UNKNOWN
    own = replace(plan, tests=replace(plan.tests, name="mine"))
    assert fit(own, guess, guess, guess, guess).answer == UNDERFITS


def test_rows_that_were_not_shown_to_help_promise_nothing(plan: Plan) -> None:
    assert fit(plan, 0.05, 0.4, 0.35, 0.25, spread=0.03).more_data is not None
    assert fit(plan, 0.05, 0.4, 0.35, 0.25, spread=0.2).more_data is None


def test_nothing_is_said_where_nothing_is_wrong(plan: Plan) -> None:
    assert fit(plan, 0.0, 0.2, 0.1, 0.0).answer == UNKNOWN


@pytest.mark.parametrize(
    ("select", "gain"),
    [
        ((0.4, 0.3, 0.25), 0.025),
        ((0.4, 0.35, 0.25), 0.1 * 0.25 / 0.35),
        ((0.1, -0.1, -0.4), 0.3),
        ((0.4, 0.3, 0.31), None),
        ((0.3, 0.4, 0.2), None),
    ],
)
def test_what_twice_the_rows_would_do_follows_the_last_two_doublings(
    plan: Plan, select: tuple[float, ...], gain: float | None
) -> None:
    assert fit(plan, 0.05, *select).more_data == (None if gain is None else pytest.approx(gain))


def test_a_share_without_a_success_leaves_the_question_open(plan: Plan) -> None:
    half = size_arms(NONE)[1].name
    assert answer(plan, [each for each in runs(0.1, 0.4, 0.3, 0.2) if each.arm != half]) is None
    assert answer(plan, []) is None
