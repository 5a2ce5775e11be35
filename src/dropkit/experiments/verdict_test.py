"""What the verdict says of planted differences, with a margin of half a point."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from dropkit.experiments.arms import NONE
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.summary import compare, complete_pairs, summarise
from dropkit.experiments.verdict import judge
from dropkit.report.record import Arm, Comparison, Plan, Point, Run, Scores, Verdict

ARMS = (NONE, Arm("decay", "decay", weight_decay=0.1), Arm("dropout 0.5", "dropout", rate=0.5))
PAIRS = 10


@pytest.fixture
def plan(arrays: Any) -> Plan:
    made = make_plan(array_dataset(*arrays), ModelSource("mlp"), Options(arms=ARMS, pairs=PAIRS, epochs=1))
    return dataclasses.replace(made, overlap=0.0, rows=10_000)


def around(mean: float, sd: float, seed: int = 0) -> Any:
    """Differences in points with exactly this mean and standard deviation."""
    z = stats.zscore(np.random.default_rng(seed).normal(size=PAIRS), ddof=1)
    return ((mean + sd * z) / 100).tolist()


def planted(decay: Sequence[float], dropout: Sequence[float]) -> list[Run]:
    """Runs whose error differs from none's 30 % by these, and whose NLL is the same in all."""
    shifts = {"none": [0.0] * PAIRS, "decay": decay, "dropout 0.5": dropout}
    return [_run(name, pair, 0.3 + shift[pair]) for pair in range(PAIRS) for name, shift in shifts.items()]


def _run(name: str, pair: int, error: float) -> Run:
    scores = Scores(error, 1.0)
    return Run("plan", name, pair, 1.0, scores, scores, (Point(1, scores, scores),))


def answer(plan: Plan, decay: Sequence[float], dropout: Sequence[float]) -> tuple[Verdict, Comparison]:
    """The verdict, and dropout's comparison in error."""
    runs = planted(decay, dropout)
    pairs = complete_pairs(plan, runs)
    found = compare(plan, pairs)
    return judge(plan, found, summarise(plan, runs, pairs), PAIRS, stopped_early=False), found[1]


def told(verdict: Verdict, start: str) -> str:
    (sentence,) = [each for each in (*verdict.sentences, *verdict.caveats) if each.startswith(start)]
    return sentence


def test_what_is_equivalent_is_left_out(plan: Plan) -> None:
    verdict, dropout = answer(plan, around(0.05, 0.2), around(-0.05, 0.2, 1))
    assert dropout.outcome == "equivalent"
    assert dropout.margin == 0.005
    assert verdict.headline == (
        "Equivalent: the error of all families is that of training without regularisation within 0.50 "
        "points. Take none, it is the simplest."
    )
    assert verdict.recommended == "none"
    assert "leaves test error as it is within 0.50 points (difference" in told(verdict, "Dropout")


def test_a_difference_that_is_shown_but_smaller_than_the_margin_does_not_count(plan: Plan) -> None:
    verdict, dropout = answer(plan, around(0.05, 0.2), around(-0.2, 0.1))
    assert dropout.p_adjusted < 0.01
    assert dropout.outcome == "equivalent"
    assert verdict.recommended == "none"


def test_where_no_gain_is_left_none_is_taken(plan: Plan) -> None:
    verdict, dropout = answer(plan, around(3.0, 0.5), around(0.9, 1.2))
    assert dropout.outcome == "no better"
    assert verdict.headline == (
        "No dropout: training without regularisation is as good as every family or better within 0.50 points "
        "of error. Take none, it is the simplest."
    )
    assert "does not improve test error by 0.50 points or more" in told(verdict, "Dropout")
    assert "raises test error from 30.00 % to 33.00 %" in told(verdict, "Decay")


def test_where_all_is_worse_that_is_said(plan: Plan) -> None:
    verdict, _ = answer(plan, around(3.0, 0.5), around(4.0, 0.5))
    assert verdict.headline.startswith("No dropout: every family raises the error of training without")


def test_the_simplest_of_what_is_equivalent_is_recommended(plan: Plan) -> None:
    best = around(-4.0, 0.8)
    near = np.add(best, around(0.1, 0.1, 1)).tolist()
    verdict, _ = answer(plan, near, best)
    assert verdict.recommended == "decay"
    assert verdict.headline == (
        "Dropout helps: test error from 30.00 % to 26.00 %. "
        "Decay is as good within 0.50 points and simpler: take 'decay'."
    )
    far = np.add(best, around(1.0, 0.5, 1)).tolist()
    assert answer(plan, far, best)[0].recommended == "dropout 0.5"
    assert answer(dataclasses.replace(plan, margin=None), near, best)[0].recommended == "dropout 0.5"


def test_what_more_pairs_would_do_is_said(plan: Plan) -> None:
    verdict, dropout = answer(plan, around(0.05, 0.2), around(-0.8, 1.2))
    assert dropout.outcome == "not shown"
    assert dropout.more_pairs is not None
    assert f"not enough evidence, about {dropout.more_pairs} more pairs would decide." in verdict.headline
    assert f"pairs would decide: {dropout.more_pairs} for dropout." in told(verdict, "If the true")
    assert verdict.headline.startswith("No gain in error could be shown")


def test_that_no_number_of_pairs_would_decide_is_said_with_the_reason(plan: Plan) -> None:
    shared = dataclasses.replace(plan, overlap=0.3, floor=1.9)
    verdict, dropout = answer(shared, around(-0.4, 1.2), around(-0.8, 1.2, 1))
    assert dropout.more_pairs is None
    assert "not enough evidence, and no number of pairs on these data would decide." in verdict.headline
    reason = (
        "pairs share rows, so that even endlessly many would find a true one of 2.28 points with no more than"
    )
    assert reason in told(verdict, "No number of pairs")
    small = dataclasses.replace(plan, rows=12 * (plan.train_rows + plan.select_rows + plan.test_rows))
    verdict, dropout = answer(small, around(-0.4, 1.2), around(-0.8, 1.2, 1))
    assert dropout.more_pairs is None
    assert "they hold no more than 12 pairs without shared rows." in told(verdict, "No number of pairs")


def test_size_and_number_of_pairs_stand_beside_a_gain(plan: Plan) -> None:
    verdict, dropout = answer(plan, around(0.0, 1.2), around(-2.0, 0.5, 1))
    assert dropout.effect == pytest.approx(-4.0)
    assert dropout.wins == 1.0
    assert "d −4.00 (−" in told(verdict, "Dropout lowers")
    assert "better in 10 of 10 pairs" in told(verdict, "Dropout lowers")


@pytest.mark.parametrize(
    ("seed", "caveat"),
    [
        (1, "One pair carries a result: without pair 7 it is no longer 'better' for dropout in error."),
        (0, "A result is close to the line: without any one of the pairs 1, 2, 4, 5 and 9 it is no longer"),
    ],
)
def test_the_pairs_that_carry_a_result_are_named_from_one(plan: Plan, seed: int, caveat: str) -> None:
    free = dataclasses.replace(plan, margin=None)
    verdict, dropout = answer(free, [0.0] * PAIRS, around(-0.9, 0.8, seed))
    assert dropout.outcome == "better"
    assert told(verdict, caveat)
    clear, _ = answer(free, [0.0] * PAIRS, around(-0.9, 0.4, seed))
    assert not any("it is no longer" in each for each in clear.caveats)


def test_sign_flips_that_do_not_confirm_are_said_and_none_are_made_of_shared_rows(plan: Plan) -> None:
    strong = around(-2.0, 0.5)
    verdict, dropout = answer(plan, strong, strong)
    assert dropout.p_flips == pytest.approx(2 / 2**PAIRS)
    assert not any("sign-flip" in caveat for caveat in verdict.caveats)
    strict = dataclasses.replace(plan, alpha=0.001)
    verdict, _ = answer(strict, strong, strong)
    assert "does not confirm decay in error (Holm's p = 0.008) and dropout in error" in told(
        verdict, "The sign-flip"
    )
    assert "With so few pairs it could confirm nothing." in told(verdict, "The sign-flip")
    shared = dataclasses.replace(plan, overlap=0.05)
    verdict, dropout = answer(shared, strong, strong)
    assert dropout.p_flips is None
    assert "A permutation or rank test would not hold here" in told(verdict, "The pairs share rows")


def test_a_margin_that_is_large_beside_the_error_is_said(plan: Plan) -> None:
    quiet, _ = answer(plan, around(0.0, 1.0), around(0.0, 1.0, 1))
    assert not any("margin is large" in caveat for caveat in quiet.caveats)
    loud, _ = answer(dataclasses.replace(plan, margin=0.04), around(0.0, 1.0), around(0.0, 1.0, 1))
    assert told(loud, "The margin is large").startswith(
        "The margin is large beside none's error of 30.00 %: 4.00 points."
    )


@pytest.mark.parametrize(
    ("unit", "metric", "none", "margin"),
    [("%", "error", 0.3, 0.005), ("%", "nll", 0.4, 0.002), ("", "error", 200.0, 1.0), ("", "nll", 3.0, None)],
)
def test_the_margin_is_points_of_error_and_a_share_of_every_other_score(
    plan: Plan, unit: str, metric: str, none: float, margin: float | None
) -> None:
    found = dataclasses.replace(plan, unit=unit).margin_of(metric, none)
    assert found == (margin and pytest.approx(margin))
    assert dataclasses.replace(plan, margin=None, unit=unit).margin_of(metric, none) is None


def test_the_margin_is_part_of_the_plan(plan: Plan, arrays: Any) -> None:
    def fingerprint(margin: str) -> str:
        options = Options(arms=ARMS, pairs=PAIRS, epochs=1, margin=margin)
        return make_plan(array_dataset(*arrays), ModelSource("mlp"), options).fingerprint

    assert fingerprint("0.5%") == plan.fingerprint
    assert len({fingerprint(margin) for margin in ("0.5%", "1%", "off")}) == 3
