from dataclasses import replace

import pytest
from tests import made_up

from dropkit.report.plan import Arm
from dropkit.report.plan_text import plan_lines


def told(**changes: object) -> str:
    return " ".join(plan_lines(made_up.plan(**changes)))


def test_the_plan_tells_sizes_search_tests_and_what_it_can_see() -> None:
    text = told()
    assert "700 rows to train, 150 to stop, 150 to compare on; 1500 rows are sealed until the end." in text
    assert "10 pairs of (split, seed), made from seed 0 and the same for every arm" in text
    assert "At most 40 epochs (440 steps) in batches of 64" in text
    assert "; 20 looks at the stop part" in text
    assert "; 5 looks at the stop part" in told(training={"epochs": 5})
    assert "12 trials each in rounds of 4, on 2 splits of their own; at most 5 finalists" in text
    assert "Holm's correction over 12 comparisons; error decides." in text
    assert "Smallest detectable effect: 1.55 standard deviations" in text


def test_methods_of_one_list_of_modules_share_a_line() -> None:
    text = told()
    assert (
        "Modules behind which dropout and Gaussian dropout can stand: features.1, features.4, features.7 "
        "and head.1." in text
    )
    assert text.count("Modules behind which") == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"parts": {"design": "resampled", "overlap": 0.2, "fresh": False}},
            "Pairs share rows. The search sees",
        ),
        ({"parts": {"design": "seeds"}}, "All pairs have one split."),
        ({"tests": {"floor": 1.2}}, "With any number of pairs it would be 1.20, as they share rows."),
        ({"tests": {"margin": None}}, "Margin of equivalence: off."),
        ({"tests": {"looks": 3}}, "The comparison may end early, at one of 3 looks."),
        ({"model": {"random_modes": ("training", "eval")}}, "forward in training and eval mode."),
        (
            {"model": {"pieces": {"loss": "own.py:focal", "optimizer": "SGD"}}},
            "Of your own: loss own.py:focal, optimizer SGD.",
        ),
        ({"model": {"pieces": {"optimizer": "SGD"}}}, "SGD with a learning rate of 0.003"),
        ({"data": {"class_weight": "balanced"}}, "The loss gives every class the same share"),
    ],
)
def test_what_applies_is_told_and_only_then(changes: dict[str, object], sentence: str) -> None:
    assert sentence.partition(",")[0] not in told()
    assert sentence in told(**changes)


def test_given_arms_are_listed_in_place_of_a_search() -> None:
    plan = made_up.plan()
    given = type(plan)(**{**vars(plan), "arms": (Arm("none", "none"), Arm("mine", "mine"))})
    text = " ".join(plan_lines(given))
    assert "Arms: none, mine." in text
    assert "trials" not in text


def test_how_long_it_takes_is_said_where_it_was_measured() -> None:
    plan = made_up.plan()
    assert "at most about" not in " ".join(plan_lines(plan))
    assert "It takes at most about 2.0 min: less" in " ".join(plan_lines(replace(plan, estimate=120)))
