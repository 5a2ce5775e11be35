"""What the verdict says of planted differences, with a margin of half a point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.judged import PAIRS, answer, changed, given, told, unsaid
from tests.made_up import around, comparisons, equal_nll, summaries

from dropkit.experiments.verdict import judge
from dropkit.report.record import BETTER, WORSE, Fit, Scores


def test_what_is_equivalent_is_left_out() -> None:
    verdict, found = answer({"L2": around(0.05, 0.2), "dropout": around(-0.05, 0.2, 1)})
    assert found["dropout"].outcome == "equivalent"
    assert verdict.headline == "No dropout: nothing that was tried changes the error by 0.50 points or more."
    assert verdict.recommended == "none"
    assert (
        told(verdict, "The same as none")
        == "The same as none within the margin: L2 (error, NLL) and dropout (error, NLL)."
    )


def test_a_difference_that_is_shown_but_smaller_than_the_margin_does_not_count() -> None:
    verdict, found = answer({"L2": around(0.05, 0.2), "dropout": around(-0.2, 0.1)})
    assert found["dropout"].p_adjusted < 0.01
    assert found["dropout"].outcome == "equivalent"
    assert verdict.recommended == "none"


def test_where_no_gain_is_left_none_is_taken() -> None:
    verdict, found = answer({"L2": around(3.0, 0.5), "dropout": around(0.9, 1.2)})
    assert found["dropout"].outcome == "no better"
    assert verdict.headline == "No dropout: nothing that was tried lowers the error by 0.50 points or more."
    assert told(verdict, "Not better") == "Not better than none by the margin or more: dropout (error)."
    assert told(verdict, "Worse than none") == "Worse than none: L2 (error)."


def test_where_all_is_worse_that_is_said() -> None:
    verdict, _ = answer({"L2": around(3.0, 0.5), "dropout": around(4.0, 0.5)})
    assert verdict.headline == "No dropout: everything that was tried raises the error."


def test_a_gain_is_recommended() -> None:
    verdict, _ = answer({"L2": around(0.0, 1.2), "dropout": around(-2.0, 0.5, 1)})
    assert verdict.headline == "Take dropout: it lowers the error from 30.00 % to 28.00 %."
    assert verdict.recommended == "dropout"
    assert told(verdict, "Better than none") == "Better than none: dropout (error)."


def test_what_raises_the_first_score_is_not_recommended_for_the_second() -> None:
    made = given()
    error, nll = equal_nll(made, {"dropout": around(4.0, 0.5)})
    gain = replace(nll, outcome=BETTER, mean=-0.1, differences=(-0.1,) * PAIRS)
    verdict = judge(made, (error, gain), summaries({"dropout": 4.0}), complete_pairs=PAIRS)
    assert (error.outcome, verdict.recommended) == (WORSE, "none")


def test_the_headline_says_what_the_recommended_arm_raises() -> None:
    made = given()
    error, nll = equal_nll(made, {"dropout": around(-4.0, 0.5)})
    loss = replace(nll, outcome=WORSE, none=0.5, mean=0.1, differences=(0.1,) * PAIRS)
    verdict = judge(made, (error, loss), summaries({"dropout": -4.0}), complete_pairs=PAIRS)
    assert verdict.recommended == "dropout"
    assert verdict.headline.endswith(
        "But it raises the NLL from 0.500 to 0.600: think twice if probabilities matter."
    )


@pytest.mark.parametrize("spread", [0.2, 5.0])
def test_what_the_model_as_brought_does_to_the_other_score_is_not_hidden(spread: float) -> None:
    made = given()
    error, nll = equal_nll(made, {"as brought": around(0.0, spread)})
    worse = replace(nll, outcome=WORSE, none=0.5, mean=0.1, differences=(0.1,) * PAIRS)
    verdict = judge(made, (error, worse), summaries({"as brought": 0.0}), complete_pairs=PAIRS)
    assert told(verdict, "Do not keep your model as it is").endswith("with NLL from 0.600 to 0.500.")
    assert unsaid(verdict, "no reason to change it")
    assert unsaid(verdict, "change nothing that matters")


def test_the_simplest_of_what_is_equivalent_is_recommended() -> None:
    best = around(-4.0, 0.8)
    near = [b + d for b, d in zip(best, around(0.1, 0.1, 1), strict=True)]
    verdict, _ = answer({"L2": near, "dropout": best})
    assert verdict.recommended == "L2"
    assert verdict.headline == (
        "Take L2: it lowers the error from 30.00 % to 26.10 %, and is simpler than dropout, which gains less "
        "than 0.50 points on it."
    )
    far = [b + d for b, d in zip(best, around(1.0, 0.5, 1), strict=True)]
    assert answer({"L2": far, "dropout": best})[0].recommended == "dropout"
    assert answer({"L2": near, "dropout": best}, given(tests={"margin": None}))[0].recommended == "dropout"


def test_what_is_kept_as_it_is_needs_no_change_and_so_is_simplest() -> None:
    best = around(-4.0, 0.8)
    near = [b + d for b, d in zip(best, around(0.1, 0.1, 1), strict=True)]
    verdict, _ = answer({"as brought": near, "dropout": best})
    assert verdict.recommended == "as brought"
    assert verdict.headline == (
        "Keep your model as it is: it lowers the error from 30.00 % to 26.10 %, and dropout gains less than "
        "0.50 points on it."
    )
    assert not any("as it is" in each for each in verdict.sentences)


@pytest.mark.parametrize(
    ("mean", "sd", "sentence"),
    [
        (-2.0, 0.5, "Your model as it is beats none too: error from 30.00 % to 28.00 %."),
        (2.0, 0.5, "Do not keep your model as it is: none is better, with error from 32.00 % to 30.00 %."),
        (0.0, 0.2, "Your model as it is does as well as none within 0.50 points"),
        (0.9, 1.2, "Your model as it is is not better than none by 0.50 points or more."),
        (-0.3, 1.5, "Whether your model as it is does better or worse than none was not shown"),
    ],
)
def test_whether_to_keep_what_was_brought_is_a_statement_of_its_own(
    mean: float, sd: float, sentence: str
) -> None:
    verdict, _ = answer({"as brought": around(mean, sd), "L2": around(-5.0, 0.5, 1)})
    assert verdict.recommended == "L2"
    assert told(verdict, sentence)
    listed = [each for each in verdict.sentences if each != told(verdict, sentence)]
    assert not any("as brought" in each for each in listed)


def test_the_model_as_brought_counts_as_tried_where_nothing_else_was_compared() -> None:
    verdict, _ = answer({"as brought": around(0.9, 1.2)})
    assert verdict.headline == "No dropout: nothing that was tried lowers the error by 0.50 points or more."
    open_one, _ = answer({"as brought": around(-0.2, 1.0)})
    assert open_one.headline.startswith("Not enough evidence:")
    assert open_one.headline.endswith("take none, the simplest.")


def test_about_how_many_more_pairs_would_decide() -> None:
    made = given(data={"rows": 100_000})
    verdict, found = answer({"L2": around(0.05, 0.2), "dropout": around(-0.8, 1.2)}, made)
    more = found["dropout"].more_pairs
    assert found["dropout"].outcome == "not shown"
    assert verdict.headline == (
        "Not enough evidence: nothing that was tried was shown to lower the error. "
        f"About {more} more pairs would decide; until then take none, the simplest."
    )
    assert told(verdict, "If the true") == (
        f"If the true differences are those seen, about {more} more pairs would decide for dropout (error)."
    )
    assert told(verdict, "Not shown either way: dropout (error). A true difference of ")


def test_that_more_pairs_would_decide_for_some_alone_is_said() -> None:
    made = given(data={"rows": 40_000})
    verdict, found = answer({"L2": around(-0.5, 1.8), "dropout": around(-1.0, 1.2, 1)}, made)
    assert found["L2"].more_pairs is None
    assert found["dropout"].more_pairs is not None
    assert (
        f"About {found['dropout'].more_pairs} more pairs would decide for 1 of the 2 that look better;"
        in (verdict.headline)
    )


def test_nobody_is_sent_for_more_pairs_to_be_sure_of_a_loss() -> None:
    made = given(data={"rows": 100_000})
    verdict, found = answer({"L2": around(0.3, 1.5), "dropout": around(0.2, 1.6, 1)}, made)
    assert found["L2"].more_pairs is not None
    assert verdict.headline.endswith("was shown to lower the error. Take none, the simplest.")
    assert unsaid(verdict, "If the true")
    assert unsaid(verdict, "No number of pairs would")


def test_a_loss_that_more_pairs_would_show_does_not_hide_why_no_gain_can_be() -> None:
    made = given(data={"rows": 40_000})
    verdict, found = answer({"L2": around(-0.5, 1.8), "dropout": around(0.3, 1.5, 1)}, made)
    assert (found["L2"].more_pairs, found["dropout"].more_pairs is None) == (None, False)
    assert "No number of pairs on these data would show a lower error" in verdict.headline
    assert unsaid(verdict, "If the true")
    assert told(verdict, "No number of pairs would decide")


def test_that_no_number_of_pairs_would_decide_is_said_with_one_reason() -> None:
    open_ended = {"L2": around(-0.4, 1.2), "dropout": around(-0.8, 1.2, 1)}
    shared = given(parts={"design": "resampled", "overlap": 0.3}, tests={"floor": 1.9})
    verdict, _ = answer(open_ended, shared)
    assert verdict.headline.endswith(
        "No number of pairs on these data would show a lower error, so take none, the simplest."
    )
    assert "would often miss a difference of 2.28 points of error;" in told(
        verdict, "No number of pairs would"
    )
    verdict, _ = answer(open_ended, given(data={"rows": 13_500}))
    assert told(verdict, "No number of pairs would").endswith("no more than 12 pairs without shared rows.")


def test_pairs_that_are_all_equal_say_nothing_more() -> None:
    verdict, _ = answer({"L2": [0.0] * PAIRS, "dropout": [0.0] * PAIRS}, given(tests={"margin": None}))
    assert verdict.headline.endswith("Take none, the simplest.")
    assert told(verdict, "Without any spread").endswith("L2 (error, NLL) and dropout (error, NLL).")


def test_a_gain_in_the_other_score_is_offered() -> None:
    made = given(tests={"metric": "nll"})
    verdict, _ = answer({"L2": around(0.0, 1.2), "dropout": around(-3.0, 0.5, 1)}, made)
    assert verdict.headline.endswith(
        "But dropout lowers the error from 30.00 % to 27.00 %: take it if the error matters."
    )
    assert verdict.recommended == "dropout"


def fit(answer: str = "room", more_data: float | None = None) -> Fit:
    scores = (Scores(0.3, 1.0),)
    return Fit((1.0,), scores, scores, answer, more_data)


def test_underfitting_is_an_answer() -> None:
    verdict, _ = answer({"L2": around(3.0, 0.5), "dropout": around(4.0, 0.5)}, fit=fit("underfits"))
    assert verdict.headline.endswith("You underfit: make the network larger or train it longer first.")
    gain, _ = answer({"L2": around(3.0, 0.5), "dropout": around(-4.0, 0.5)}, fit=fit("underfits"))
    assert unsaid(gain, "underfit")


def test_more_data_is_an_answer_where_it_does_more_than_any_setting() -> None:
    differences = {"L2": around(0.0, 0.2), "dropout": around(-2.0, 0.5)}
    much, _ = answer(differences, fit=fit(more_data=0.03))
    assert much.headline.endswith("Twice the rows would do more: about 3.00 points lower.")
    assert told(much, "Twice the rows").endswith("by about 3.00 points, more than any setting here.")
    little, _ = answer(differences, fit=fit(more_data=0.01))
    assert "Twice" not in little.headline
    assert told(little, "Twice the rows").endswith("by about 1.00 points.")
    assert unsaid(answer(differences, fit=fit(more_data=-0.01))[0], "Twice")


def test_the_headline_is_at_most_two_sentences() -> None:
    cases: list[dict[str, Any]] = [
        {"differences": {"L2": around(mean, sd), "dropout": around(other, sd, 1)}, "fit": fit(state, gain)}
        for mean, other, sd in ((-3.0, -3.1, 0.4), (-0.4, 0.0, 1.2), (3.0, 1.0, 1.2))
        for state, gain in (("underfits", 0.05), ("room", 0.05), ("unknown", None))
    ]
    for case in cases:
        verdict, _ = answer(case["differences"], fit=case["fit"])
        ends = verdict.headline.replace("0.50", "").count(". ") + 1
        assert ends <= 2
        assert len(verdict.headline) < 200
        assert len(verdict.sentences) <= 8
        assert len(set(verdict.sentences)) == len(verdict.sentences)


def test_too_few_pairs_leave_no_verdict() -> None:
    verdict = judge(given(), (), (), complete_pairs=1, stopped_early=True)
    assert verdict.headline.startswith("No verdict yet: 1 pair complete")
    assert verdict.recommended == "none"
    assert told(verdict, "Stopped early: 1 of 10 pairs complete.").endswith("complete.")


def test_whoever_stops_a_study_is_told_what_its_tests_are_worth_then() -> None:
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, complete_pairs=7, stopped_early=True)
    said = told(verdict, "Stopped early: 7 of 10 pairs complete.")
    assert "hold only if it was not stopped for what it showed" in said


def test_cost_and_fit_are_told_once() -> None:
    verdict, _ = answer({"L2": around(0.0, 0.2), "dropout": around(-2.0, 0.5)})
    assert told(verdict, "A network with dropout took") == (
        "A network with dropout took 1.89 s and 321 steps on average, with none 1.12 s and 247. That is "
        "where all may take equally many steps. With equal time, ended when none ends, the error on the stop "
        "parts is 36.40 % with dropout and 30.00 % with none."
    )
    assert told(
        verdict, "Without regularisation the error is 10.00 % on training rows and 30.00 % on new ones"
    )


def test_an_ensemble_of_more_networks_than_epochs_is_not_said_to_take_equal_steps() -> None:
    for epochs, said in ((5, "equally many steps"), (4, "more steps than none may take")):
        made = given()
        made = replace(made, training=replace(made.training, epochs=epochs))
        arms = summaries({"dropout": -2.0})
        verdict, _ = answer(
            {"dropout": around(-2.0, 0.5)}, made, arms=changed(arms, arm=replace(arms[-1].arm, members=5))
        )
        assert said in told(verdict, "A network with dropout took")


def test_without_curves_nothing_is_said_of_equal_time() -> None:
    arms = [replace(arm, at_equal_time=None) for arm in summaries({"dropout": -2.0})]
    verdict, _ = answer({"dropout": around(-2.0, 0.5)}, arms=arms)
    assert told(verdict, "A network with dropout took").endswith("with none 1.12 s and 247.")


def test_a_metric_of_ones_own_has_its_name_and_no_guess_beside_it() -> None:
    verdict, _ = answer({"L2": around(-2.0, 0.5)}, given(tests={"name": "cost"}))
    assert verdict.headline == "Take L2: it lowers the cost from 0.3000 to 0.2800."
    assert told(verdict, "Without regularisation the cost is 0.1000 on training rows and 0.3000 on new ones.")
    assert unsaid(verdict, "guessing")
    assert told(verdict, "A difference of less than 0.5 % of none's cost or NLL counts as none.")


def test_noise_that_stays_in_every_arm_is_said() -> None:
    made = given(model={"random_modes": ("training", "eval")})
    verdict, _ = answer({"L2": around(0.0, 0.2)}, made)
    assert "in training and eval mode outputs change" in told(verdict, "Arm none is not free of noise")
    assert told(verdict, "With arm none the error is")


def test_the_verdict_is_said_in_chinese() -> None:
    verdict, _ = answer({"L2": around(0.0, 1.2), "dropout": around(-2.0, 0.5, 1)}, lang="zh")
    assert verdict.headline == "选用 Dropout：错误率从 30.00 % 变为 28.00 %。"
    assert verdict.recommended == "dropout"


def test_both_scores_of_an_arm_share_its_place_in_a_sentence() -> None:
    made = given()
    found = comparisons(made, {"L2": around(0.0, 1.5), "dropout": around(-3.0, 0.5, 1)})
    verdict = judge(made, found, summaries({"L2": 0.0, "dropout": -3.0}), complete_pairs=PAIRS)
    assert told(verdict, "Better than none") == "Better than none: dropout (error, NLL)."
    assert "points of error or" in told(verdict, "Not shown either way: L2 (error, NLL).")
