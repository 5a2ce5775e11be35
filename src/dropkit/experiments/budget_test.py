from dataclasses import replace
from typing import Any

import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.budget import (
    DEFAULT,
    FEWEST_TRIALS,
    MOST_TRIALS,
    Cost,
    calibrate,
    estimate,
    parse_budget,
)
from dropkit.experiments.families import UNREGULARISED
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.report.plan import Arm, Plan

FREE = {"epochs": True, "trials": True}


@pytest.fixture
def plan(arrays: Any) -> Plan:
    return make_plan(array_dataset(*arrays), ModelSource("mlp"), Options())[0]


def test_an_ample_budget_buys_trials_and_leaves_the_epochs(plan: Plan) -> None:
    least = estimate(replace(plan, search=replace(plan.search, trials=FEWEST_TRIALS)), Cost(0.001, 2))
    found = calibrate(plan, Cost(0.001, 2), 3.1 * least, **FREE)
    assert found.training == plan.training
    assert FEWEST_TRIALS < found.search.trials < MOST_TRIALS
    assert 0.9 * 3.1 * least < estimate(found, Cost(0.001, 2)) <= 3.1 * least


def test_a_tight_budget_takes_epochs_and_keeps_the_fewest_trials(plan: Plan) -> None:
    plan = replace(plan, parts=replace(plan.parts, train=6400))
    whole = estimate(plan, Cost(0.01, 2))
    found = calibrate(plan, Cost(0.01, 2), whole / 2, **FREE)
    assert found.search.trials == FEWEST_TRIALS
    assert 0 < found.training.epochs <= plan.training.epochs / 2
    assert estimate(found, Cost(0.01, 2)) <= whole / 2


def test_twice_the_workers_take_half_the_time(plan: Plan) -> None:
    assert estimate(plan, Cost(0.01, 2)) == pytest.approx(2 * estimate(plan, Cost(0.01, 4)))


def test_a_budget_too_small_is_refused_with_what_would_do(plan: Plan) -> None:
    with pytest.raises(
        DropkitError, match=r"budget must pay for the shortest study with 10 pairs, about (\d+)s"
    ) as caught:
        calibrate(plan, Cost(1.0, 2), 5.0, **FREE)
    needed = parse_budget(caught.value.rule.rpartition(" ")[2])
    assert needed is not None
    assert calibrate(plan, Cost(1.0, 2), needed, **FREE).search.trials >= FEWEST_TRIALS


def test_the_default_may_be_overdrawn(plan: Plan) -> None:
    found = calibrate(plan, Cost(1.0, 2), None, **FREE)
    assert estimate(found, Cost(1.0, 2)) > DEFAULT


def test_what_the_user_set_stays(plan: Plan) -> None:
    set_trials = replace(plan, search=replace(plan.search, trials=9))
    assert calibrate(set_trials, Cost(0.01, 2), None, epochs=True, trials=False).search.trials == 9
    found = calibrate(plan, Cost(0.05, 2), None, epochs=False, trials=True)
    assert found.training.epochs == plan.training.epochs


def test_given_arms_are_not_searched_for(plan: Plan) -> None:
    arms = (UNREGULARISED, Arm("d", "d", rate=0.5))
    given = replace(plan, arms=arms)
    assert estimate(given, Cost(1.0, 1)) == pytest.approx(1.15 * 20 * plan.training.epochs)
    assert calibrate(given, Cost(1e-6, 1), 60.0, **FREE) == given


def test_two_passes_and_members_that_need_an_epoch_each_are_paid_for(plan: Plan) -> None:
    short = replace(plan, training=replace(plan.training, epochs=2))
    given = [UNREGULARISED, Arm("r", "r", rate=0.5, r_drop=1.0), Arm("five", "five", members=5)]
    costs = [estimate(replace(short, arms=(UNREGULARISED, arm)), Cost(1.0, 1)) for arm in given]
    assert [cost / costs[0] for cost in costs] == pytest.approx([1.0, 1.5, 1.75])


def test_a_search_is_paid_for_as_if_the_costliest_were_compared(plan: Plan) -> None:
    without = tuple(name for name in plan.search.families if name != "R-Drop")
    assert {"R-Drop", "best two combined"} < set(plan.search.families)
    cheap = replace(plan, search=replace(plan.search, families=without))
    # R-Drop costs two, and may be one of the best two; where both are compared each costs one more.
    more = (2 + 1) * 0.75 * plan.search.trials + 2 * plan.tests.pairs
    gap = estimate(plan, Cost(1.0, 1)) - estimate(cheap, Cost(1.0, 1))
    assert gap == pytest.approx(1.15 * plan.training.epochs * more)


@pytest.mark.parametrize(
    "budget", ["", "10", "0m", "-1m", "ten minutes", "1e3m", "nanm", 10, "5 days", "1m 30s"]
)
def test_a_budget_that_is_no_time_is_refused(budget: Any) -> None:
    with pytest.raises(DropkitError, match="budget must be a time above 0 with its unit"):
        parse_budget(budget)
