import dataclasses
from typing import Any

import numpy as np
import pytest

from dropkit.experiments.arms import NONE
from dropkit.experiments.arrays import array_dataset
from dropkit.experiments.models import ModelSource
from dropkit.experiments.plan import Options, make_plan
from dropkit.experiments.summary import choose, compare, complete_pairs, summarise
from dropkit.experiments.verdict import judge
from dropkit.report.record import Arm, Plan, Point, Run, Scores, Verdict

LOW, HIGH, DECAY = (
    Arm("dropout 0.1", "dropout", 0.1),
    Arm("dropout 0.5", "dropout", 0.5),
    Arm("decay", "decay"),
)
ARMS = (NONE, LOW, HIGH, DECAY)


@pytest.fixture
def plan(arrays: Any) -> Plan:
    made = make_plan(array_dataset(*arrays), ModelSource("mlp"), Options(arms=ARMS, pairs=10, epochs=1))
    return dataclasses.replace(made, overlap=0.0, margin=None)


def run(arm: Arm, pair: int, select: float, test: float, nll: float = 1.0) -> Run:
    chosen, judged = Scores(select, nll), Scores(test, nll)
    return Run("plan", arm.name, pair, 1.0, chosen, judged, (Point(1, chosen, chosen),))


def planted(gain: float, pairs: int = 10) -> list[Run]:
    """`dropout 0.5` is better by `gain`, other arms are `none` with noise."""
    noise = np.random.default_rng(0).normal(0, 0.01, (pairs, len(ARMS)))
    shift = np.array([0.0, 0.0, -gain, 0.0])
    return [
        run(arm, pair, 0.3 + shift[at] + noise[pair, at], 0.3 + shift[at] + noise[-pair, at])
        for pair in range(pairs)
        for at, arm in enumerate(ARMS)
    ]


def answer(plan: Plan, runs: list[Run], *, stopped: bool = False) -> Verdict:
    pairs = complete_pairs(plan, runs)
    return judge(plan, compare(plan, pairs), summarise(plan, runs, pairs), len(pairs), stopped_early=stopped)


def test_a_family_is_chosen_by_the_select_part_and_judged_by_the_test_part(plan: Plan) -> None:
    runs = {
        each.arm: each for each in (run(NONE, 0, 0.3, 0.3), run(LOW, 0, 0.1, 0.9), run(HIGH, 0, 0.2, 0.1))
    }
    assert choose(plan, "dropout", runs).arm == LOW.name
    pairs = {pair: runs | {DECAY.name: run(DECAY, pair, 0.3, 0.3)} for pair in range(3)}
    error = compare(plan, pairs)[0]
    assert error.differences == pytest.approx([0.6] * 3)


def test_ties_are_broken_by_the_other_score(plan: Plan) -> None:
    runs = {each.arm: each for each in (run(LOW, 0, 0.1, 0.9, nll=2.0), run(HIGH, 0, 0.1, 0.1, nll=1.0))}
    assert choose(plan, "dropout", runs).arm == HIGH.name


def test_the_metric_of_the_plan_chooses(plan: Plan) -> None:
    runs = {each.arm: each for each in (run(LOW, 0, 0.1, 0.9, nll=2.0), run(HIGH, 0, 0.2, 0.1, nll=1.0))}
    assert choose(plan, "dropout", runs).arm == LOW.name
    assert choose(dataclasses.replace(plan, metric="nll"), "dropout", runs).arm == HIGH.name


def test_unfinished_pairs_do_not_count(plan: Plan) -> None:
    runs = [each for each in planted(0.1) if (each.arm, each.pair) != (HIGH.name, 9)]
    assert set(complete_pairs(plan, runs)) == set(range(9))


def test_a_failed_arm_costs_its_setting_a_failed_none_the_pair(plan: Plan) -> None:
    def broken(arm: Arm) -> list[Run]:
        failed = Run("plan", arm.name, 4, 0.1, failure="NaN")
        return [failed if (each.arm, each.pair) == (arm.name, 4) else each for each in planted(0.1)]

    assert set(complete_pairs(plan, broken(HIGH))[4]) == {"none", LOW.name, DECAY.name}
    assert 4 not in complete_pairs(plan, broken(NONE))
    assert 4 not in complete_pairs(plan, broken(DECAY))


def test_a_planted_gain_is_found_and_recommended(plan: Plan) -> None:
    verdict = answer(plan, planted(0.1))
    assert verdict.recommended == HIGH.name
    assert verdict.headline.startswith("Dropout helps: test error from 29.55 % to 19.91 %.")
    assert any("largest rate tried" in caveat for caveat in verdict.caveats)


def test_no_gain_is_answered_with_none_and_the_detectable_effect(plan: Plan) -> None:
    verdict = answer(plan, planted(0.0))
    assert verdict.recommended == "none"
    assert "No difference in error could be shown" in verdict.headline
    assert any("would have been found with 80 % probability" in sentence for sentence in verdict.sentences)


def test_harm_is_said(plan: Plan) -> None:
    verdict = answer(
        plan, [run(arm, p, 0.5, 0.3 + (arm != NONE) * (0.2 + p / 100)) for p in range(10) for arm in ARMS]
    )
    assert verdict.recommended == "none"
    assert any("raises test error" in sentence for sentence in verdict.sentences)


def test_better_probabilities_alone_are_no_gain_in_error(plan: Plan) -> None:
    nll = {arm.name: 1.0 for arm in ARMS} | {HIGH.name: 0.7}
    noise = np.random.default_rng(1).normal(0, 0.01, 10)
    runs = [
        run(arm, p, 0.3, 0.3, nll[arm.name] + noise[p - at]) for p in range(10) for at, arm in enumerate(ARMS)
    ]
    verdict = answer(plan, runs)
    assert "No difference in error could be shown" in verdict.headline
    assert "improves test NLL" in verdict.headline
    assert verdict.recommended == HIGH.name


def test_too_few_pairs_give_no_verdict(plan: Plan) -> None:
    verdict = answer(plan, planted(0.1, pairs=2), stopped=True)
    assert verdict.headline.startswith("No verdict: 2 pairs complete")
    assert verdict.recommended == "none"
    assert "Stopped early: 2 pairs of 10 complete." in verdict.caveats


def test_the_correction_counts_every_family_and_score(plan: Plan) -> None:
    comparisons = compare(plan, complete_pairs(plan, planted(0.02)))
    assert len(comparisons) == plan.comparisons == 4
    smallest = min(comparisons, key=lambda each: each.p)
    assert smallest.p_adjusted == pytest.approx(4 * smallest.p)


def test_shared_rows_widen_the_interval(plan: Plan) -> None:
    pairs = complete_pairs(plan, planted(0.02))
    alone, shared = (compare(dataclasses.replace(plan, overlap=o), pairs)[0] for o in (0.0, 0.2))
    assert None not in (alone.low, alone.high, shared.low, shared.high)
    widths = [np.ptp([each.low, each.high]) for each in (alone, shared)]
    assert widths[1] == pytest.approx(widths[0] * np.sqrt((0.1 + 0.2) / 0.1))


def test_arms_are_averaged_over_complete_pairs(plan: Plan) -> None:
    runs = planted(0.1)
    none = summarise(plan, runs, complete_pairs(plan, runs))[0]
    errors = [each.test.error for each in runs if each.arm == "none" and each.test]
    assert none.test.error == pytest.approx(np.mean(errors))
    assert none.test_sd is not None
    assert none.test_sd.error == pytest.approx(np.std(errors, ddof=1))
    assert none.chosen == 0


def said(verdict: Verdict) -> str:
    return " ".join((verdict.headline, *verdict.sentences))


def test_one_pair_has_no_spread(plan: Plan) -> None:
    runs = planted(0.1, pairs=1)
    assert summarise(plan, runs, complete_pairs(plan, runs))[0].test_sd is None
    assert answer(plan, runs).headline.startswith("No verdict: 1 pair complete")


def test_equal_scores_are_no_proof_that_a_small_difference_would_have_been_seen(plan: Plan) -> None:
    runs = [run(arm, pair, 0.3, 0.3) for pair in range(10) for arm in ARMS]
    comparisons = compare(plan, complete_pairs(plan, runs))
    assert {(each.mean, each.low, each.detectable, each.p) for each in comparisons} == {(0, None, None, 1)}
    text = said(answer(plan, runs))
    assert "exactly the error of none in all 10 pairs for dropout and decay" in text
    assert "nothing can be said about how small a difference" in text
    assert "would have been found with 80 %" not in text


def test_a_change_that_is_the_same_everywhere_is_said_as_such(plan: Plan) -> None:
    steady = [
        run(arm, pair, 0.3, 0.3 - 0.1 * (arm == HIGH)) for pair in range(10) for arm in (NONE, LOW, HIGH)
    ]
    moved = [each for each in steady if each.arm != LOW.name] + [run(LOW, p, 0.4, 0.3) for p in range(10)]
    runs = moved + [run(DECAY, pair, 0.3, 0.3 + 0.001 * pair) for pair in range(10)]
    shared = said(answer(dataclasses.replace(plan, overlap=0.5), runs))
    assert "one and the same change of error in all 10 pairs for dropout (10.00 points)" in shared
    shown = said(answer(plan, runs))
    assert "lowers test error from 30.00 % to 20.00 % (difference the same in every pair" in shown


def test_a_difference_that_would_round_away_is_written_out(plan: Plan) -> None:
    def nll(arm: Arm, pair: int) -> float:
        return 0.622 + 0.001 * pair + (arm == DECAY) * (2e-5 + 1e-7 * pair)

    runs = [run(arm, pair, 0.3, 0.3, nll(arm, pair)) for pair in range(10) for arm in ARMS]
    (sentence,) = [each for each in answer(plan, runs).sentences if "raises" in each]
    assert "Decay raises test NLL from 0.62650 to 0.62652 (difference 0.0000202 to 0.0000207 at" in sentence


@pytest.mark.parametrize(("modes", "scored"), [(("training",), False), (("training", "eval"), True)])
def test_noise_that_none_keeps_is_said_first_and_not_called_no_regularisation(
    plan: Plan, modes: tuple[str, ...], scored: bool
) -> None:
    verdict = answer(dataclasses.replace(plan, random_modes=modes), planted(0.0))
    assert verdict.sentences[0].startswith(f"Arm none is not free of dropout or other noise: in {modes[0]}")
    assert ("Scores are taken in eval mode" in verdict.sentences[0]) == scored
    assert "without regularisation" not in said(verdict).lower()


def test_what_a_guess_would_give_stands_beside_what_was_learned(plan: Plan) -> None:
    text = said(answer(dataclasses.replace(plan, guess_error=0.45), planted(0.0)))
    assert "on new ones; always guessing the commonest class would give 45.00 %." in text
    regression = dataclasses.replace(plan, task="regression", unit="", guess_error=123.0)
    assert "always guessing the mean would give 123.0." in said(answer(regression, planted(0.0)))
