from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.decision import BETTER, OPEN
from dropkit.experiments.families import BROUGHT, UNREGULARISED
from dropkit.experiments.inference import paired_test
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.search import luck
from dropkit.experiments.summary import compare, complete_pairs, summarise, with_luck
from dropkit.report.messages import Note
from dropkit.report.plan import Arm, Plan
from dropkit.report.record import Comparison, Family, Point, Run, Scores

LOW, HIGH = Arm("low", "dropout", rate=0.1), Arm("high", "dropout", rate=0.5)
ARMS = (UNREGULARISED, BROUGHT, LOW, HIGH)


@pytest.fixture
def plan(arrays: Any) -> Plan:
    made, _ = make_plan(array_dataset(*arrays), ModelSource("mlp"), Options(arms=ARMS, pairs=10, epochs=1))
    return given(made, overlap=0.0, margin=None)


def given(plan: Plan, *, overlap: float | None = None, **tests: Any) -> Plan:
    parts = plan.parts if overlap is None else replace(plan.parts, overlap=overlap)
    return replace(plan, parts=parts, tests=replace(plan.tests, **tests))


def run(arm: Arm, pair: int, select: float, nll: float = 1.0, run_id: str = "") -> Run:
    scores, early = Scores(select, nll), Scores(0.9, 9.0)
    curve = (Point(1, early, early), Point(2, Scores(select / 2, nll), scores), Point(3, early, early))
    return Run("plan", arm.name, pair, 1.0, 2, 30, scores, scores, curve, id=run_id or f"{arm.name} {pair}")


def failed(arm: Arm, pair: int) -> Run:
    return Run("plan", arm.name, pair, 0.1, failure=Note("failure.score"))


def planted(gain: float, pairs: int = 10) -> list[Run]:
    """`high` is better by `gain`, other arms are `none` with noise."""
    noise = np.random.default_rng(0).normal(0, 0.01, (pairs, len(ARMS)))
    shift = np.array([0.0, 0.0, 0.0, -gain])
    return [
        run(arm, pair, 0.3 + shift[at] + noise[pair, at], 1 + noise[-pair, at])
        for pair in range(pairs)
        for at, arm in enumerate(ARMS)
    ]


def compared(plan: Plan, runs: list[Run], **options: Any) -> dict[tuple[str, str], Comparison]:
    found = compare(plan, ARMS, complete_pairs(ARMS, runs), **options)
    return {(each.arm, each.metric): each for each in found}


# --- which pairs count


def test_unfinished_pairs_do_not_count() -> None:
    runs = [each for each in planted(0.1) if (each.arm, each.pair) != (HIGH.name, 9)]
    assert set(complete_pairs(ARMS, runs)) == set(range(9))


@pytest.mark.parametrize("arm", ARMS)
def test_a_failure_of_a_steady_arm_costs_the_pair(arm: Arm) -> None:
    runs = [failed(arm, 4) if (each.arm, each.pair) == (arm.name, 4) else each for each in planted(0.1)]
    assert set(complete_pairs(ARMS, runs)) == set(range(10)) - {4}


def test_an_arm_that_mostly_fails_is_left_out_and_takes_no_pair_away(plan: Plan) -> None:
    runs = [failed(LOW, each.pair) if each.arm == "low" and each.pair < 5 else each for each in planted(0.1)]
    pairs = complete_pairs(ARMS, runs)
    assert len(pairs) == 10
    assert {each.arm for each in compare(plan, ARMS, pairs)} == {"as brought", "high"}
    assert [each.failures for each in summarise(plan, ARMS, runs, pairs)] == [0, 0, 5, 0]


def test_without_none_there_is_nothing_to_compare(plan: Plan) -> None:
    runs = [failed(UNREGULARISED, each.pair) if each.arm == "none" else each for each in planted(0.1)]
    assert complete_pairs(ARMS, runs) == {}
    assert compare(plan, ARMS, {}) == ()


# --- comparisons


def test_differences_are_of_select_scores_pair_by_pair(plan: Plan) -> None:
    runs = planted(0.1)
    none, high = (
        [each.select.error for each in runs if each.arm == name and each.select] for name in ("none", "high")
    )
    found = compared(plan, runs)["high", "error"]
    assert found.differences == pytest.approx(np.subtract(high, none))
    assert found.none == pytest.approx(np.mean(none))
    assert found.outcome == BETTER


def test_no_gain_is_not_shown(plan: Plan) -> None:
    assert {each.outcome for each in compared(plan, planted(0.0)).values()} == {OPEN}


def test_the_correction_counts_all_that_a_verdict_may_name_in_both_scores(plan: Plan) -> None:
    found = compared(plan, planted(0.02))
    assert {arm for arm, _ in found} == {"as brought", "low", "high"}
    smallest = min(found.values(), key=lambda each: each.p)
    assert smallest.p_adjusted == pytest.approx(6 * smallest.p)


def test_a_model_brought_without_anything_to_switch_off_is_not_compared_with_itself(plan: Plan) -> None:
    runs = [
        replace(each, id=f"same {each.pair}") if each.arm in ("none", "as brought") else each
        for each in planted(0.1)
    ]
    assert {arm for arm, _ in compared(plan, runs)} == {"low", "high"}


def test_a_stricter_level_shows_less(plan: Plan) -> None:
    runs = planted(0.03)
    assert compared(plan, runs)["high", "error"].outcome == BETTER
    assert compared(plan, runs, alpha=1e-4)["high", "error"].outcome == OPEN


def test_shared_rows_widen_the_interval(plan: Plan) -> None:
    alone, shared = (compared(given(plan, overlap=o), planted(0.02))["high", "error"] for o in (0.0, 0.2))
    assert None not in (alone.low, alone.high, shared.low, shared.high)
    widths = [np.ptp([each.low, each.high]) for each in (alone, shared)]
    assert widths[1] == pytest.approx(widths[0] * np.sqrt((0.1 + 0.2) / 0.1))
    assert (alone.p_flips is None, shared.p_flips is None) == (False, True)


def test_equal_scores_leave_no_spread_to_measure(plan: Plan) -> None:
    runs = [run(arm, pair, 0.3) for pair in range(10) for arm in ARMS]
    found = compared(plan, runs).values()
    assert {(each.mean, each.low, each.detectable, each.p) for each in found} == {(0, None, None, 1)}


def test_the_metric_of_the_plan_comes_first(plan: Plan) -> None:
    pairs = complete_pairs(ARMS, planted(0.1))
    assert [each.metric for each in compare(given(plan, metric="nll"), ARMS, pairs)] == [
        *["nll"] * 3,
        *["error"] * 3,
    ]


@pytest.mark.parametrize("pairs", [1, 2])
def test_fewer_than_three_pairs_are_not_tested(plan: Plan, pairs: int) -> None:
    assert compared(plan, planted(0.1, pairs)) == {}


# --- means


def test_arms_are_averaged_over_complete_pairs(plan: Plan) -> None:
    runs = planted(0.1)
    none = summarise(plan, ARMS, runs, complete_pairs(ARMS, runs))[0]
    errors = [each.select.error for each in runs if each.arm == "none" and each.select]
    assert none.select.error == pytest.approx(np.mean(errors))
    assert none.train.error == pytest.approx(np.mean(errors) / 2)
    assert none.select_sd is not None
    assert none.select_sd.error == pytest.approx(np.std(errors, ddof=1))
    assert (none.epochs, none.steps, none.seconds) == (2, 30, 1)


def test_one_pair_has_no_spread(plan: Plan) -> None:
    runs = planted(0.1, pairs=1)
    assert summarise(plan, ARMS, runs, complete_pairs(ARMS, runs))[0].select_sd is None


def test_the_luck_of_a_search_is_in_the_spread_of_none(plan: Plan) -> None:
    runs = planted(0.1)
    arms = summarise(plan, ARMS, runs, complete_pairs(ARMS, runs))
    spread = arms[0].select_sd
    assert spread is not None
    families = [Family(name, LOW, 20, 0, 0, Scores(0.1, 0.1), None) for name in ("low", "else")]
    low, other = with_luck(plan, families, arms)
    assert low.optimism == pytest.approx(luck(20) * spread.error)
    assert (low.finalist, other.finalist) == (True, False)
    assert with_luck(plan, families, ())[0].optimism is None


def test_what_is_said_at_a_look_has_the_level_of_that_look(plan: Plan) -> None:
    end, early = (compared(plan, planted(0.1), alpha=alpha)["high", "error"] for alpha in (None, 0.001))
    assert (end.alpha, early.alpha) == (plan.tests.alpha, 0.001)
    for each in (end, early):
        test = paired_test(each.differences, level=1 - each.alpha)
        assert (each.low, each.high) == (test.low, test.high)
    assert end.detectable is not None
    assert early.detectable is not None
    assert early.detectable > end.detectable
    assert end.effect_low is not None
    assert early.effect_low is not None
    assert early.effect_low < end.effect_low
