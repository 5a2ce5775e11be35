"""What a reader of a verdict is told to mind, with a margin of half a point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.judged import PAIRS, answer, changed, given, told, unsaid
from tests.made_up import around, plan, summaries

from dropkit.experiments.verdict import judge
from dropkit.report.plan import Arm
from dropkit.report.record import Family, Sealed


@pytest.mark.parametrize(
    ("seed", "caveat"),
    [
        (1, "One pair carries a result: without pair 7 it is no longer “better” for dropout in error."),
        (0, "A result is close to the line: without any one of the pairs 1, 2, 4, 5 and 9 it is no longer"),
    ],
)
def test_the_pairs_that_carry_a_result_are_named_from_one(seed: int, caveat: str) -> None:
    free = given(tests={"margin": None})
    verdict, found = answer({"L2": [0.0] * PAIRS, "dropout": around(-0.9, 0.8, seed)}, free)
    assert found["dropout"].outcome == "better"
    assert told(verdict, caveat)
    clear, _ = answer({"L2": [0.0] * PAIRS, "dropout": around(-0.9, 0.4, seed)}, free)
    assert unsaid(clear, "it is no longer")


def test_sign_flips_that_do_not_confirm_are_said() -> None:
    strong = around(-2.0, 0.5)
    verdict, found = answer({"L2": strong, "dropout": strong})
    assert found["dropout"].p_flips == pytest.approx(2 / 2**PAIRS)
    assert unsaid(verdict, "sign-flip")
    verdict, _ = answer({"L2": strong, "dropout": strong}, given(tests={"alpha": 0.001}))
    assert told(verdict, "The sign-flip") == (
        "The sign-flip test does not confirm L2 in error (Holm's p = 0.008) and dropout in error "
        "(Holm's p = 0.008); with so few pairs it could confirm nothing."
    )


@pytest.mark.parametrize(
    ("parts", "caveat"),
    [
        ({"design": "disjoint"}, "No row is used by two pairs"),
        (
            {"design": "resampled", "overlap": 0.21},
            "Pairs share rows, so the test is corrected for it (Nadeau",
        ),
        ({"design": "seeds"}, "All pairs have one and the same split, so the claim is limited to it"),
    ],
)
def test_the_design_in_use_is_said(parts: dict[str, Any], caveat: str) -> None:
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, given(parts=parts))
    assert told(verdict, caveat)


def test_rows_that_the_search_has_seen_are_said() -> None:
    differences = {"L2": around(-2.0, 0.5)}
    searched, fresh = plan(parts={"fresh": False}), plan(parts={"fresh": True})
    assert told(answer(differences, searched)[0], "The search has seen the rows")
    assert unsaid(answer(differences, fresh)[0], "The search has seen")
    assert unsaid(answer(differences, given(parts={"fresh": False}))[0], "The search has seen")


def test_what_was_changed_makes_it_exploratory_before_all_else() -> None:
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, changed=("margin", "pairs"))
    assert verdict.caveats[0] == (
        "Exploratory: something was changed after the plan was registered (margin and pairs)."
    )


@pytest.mark.parametrize(
    ("mean", "low", "high", "says"),
    [
        (-0.02, -0.03, -0.01, "agrees"),
        (0.001, -0.03, 0.032, "points the other way, though it may be chance"),
        (0.015, 0.01, 0.02, "disagrees"),
    ],
)
def test_the_sealed_interval_agrees_where_it_meets_that_of_the_pairs_on_the_same_side(
    mean: float, low: float, high: float, says: str
) -> None:
    sealed = (Sealed("none", "error", 0.3, None, None, None), Sealed("L2", "error", 0.3, mean, low, high))
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, sealed=sealed)
    assert told(verdict, f"The sealed part {says}: there L2 changes the error by")


def test_the_sealed_interval_has_nothing_to_agree_with_where_the_pairs_show_nothing() -> None:
    sealed = (Sealed("none", "error", 0.3, None, None, None), Sealed("L2", "error", 0.3, -0.01, -0.02, 0.001))
    verdict, _ = answer({"L2": around(-0.5, 2.0)}, sealed=sealed)
    assert told(verdict, "On the sealed part L2 changes the error by")
    assert unsaid(verdict, "The sealed part")


def test_a_margin_that_is_large_beside_the_error_is_said() -> None:
    differences = {"L2": around(0.0, 1.0), "dropout": around(0.0, 1.0, 1)}
    assert told(answer(differences)[0], "A difference of less than").endswith("counts as none.")
    loud, _ = answer(differences, given(tests={"margin": 0.04}))
    assert "That is much beside none's error of 30.00 %" in told(loud, "A difference of less than 4 points")


def test_no_margin_is_large_beside_an_nll_whose_zero_is_arbitrary() -> None:
    made = given(data={"task": "regression"}, tests={"metric": "nll"})
    _, found = answer({"L2": around(-1.0, 0.5)}, made)
    low = [replace(found["L2"], metric="nll", none=-0.3, margin=0.005)]
    verdict = judge(made, low, (), (), None, (), complete_pairs=PAIRS, stopped_early=False)
    assert told(verdict, "A difference of less than").endswith("counts as none.")


def test_without_a_margin_the_size_is_left_to_the_reader() -> None:
    free = given(tests={"margin": None})
    assert told(answer({"L2": around(-2.0, 0.5)}, free)[0], "A change that could be shown")
    assert unsaid(answer({"L2": around(0.0, 1.0)}, free)[0], "A change that could be shown")


def test_the_best_at_an_end_of_what_was_searched_is_named_where_it_was_compared() -> None:
    best = Arm("dropout", "dropout", rate=0.7)
    family = Family("dropout", best, 12, 0, 0, None, None, ("rate",), finalist=True)
    differences = {"dropout": around(-2.0, 0.5)}
    verdict, _ = answer(differences, plan(), families=(family,))
    assert told(verdict, "Best at an end").endswith("dropout (rate 0.7).")
    verdict, _ = answer(differences, plan(), families=(replace(family, finalist=False),))
    assert unsaid(verdict, "Best at an end")


def test_arms_that_still_improve_at_the_end_and_failures_are_named() -> None:
    arms = summaries({"L2": -2.0})
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, arms=changed(arms, epochs=39.5, failures=2))
    assert told(verdict, "Still improving at the last epoch").endswith("L2.")
    assert told(verdict, "Failed runs, left out: L2 (2).")
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, arms=arms)
    assert unsaid(verdict, "Still improving")
    several = replace(arms[-1].arm, members=5)
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, arms=changed(arms, arm=several, epochs=8.0))
    assert told(verdict, "Still improving at the last epoch").endswith("L2.")
