import math
from dataclasses import replace

import pytest
from tests import made_up

from dropkit.report.plan import Arm
from dropkit.report.record import Comparison, Family, Sealed, StudyResult
from dropkit.report.words import NOTHING, Words


@pytest.fixture
def percent() -> Words:
    return Words(made_up.plan())


@pytest.fixture
def plain() -> Words:
    return Words(made_up.plan(data={"task": "regression"}))


def test_scores_are_written_in_their_units(percent: Words, plain: Words) -> None:
    assert percent.quantity("error", 0.1234) == "12.34 %"
    assert percent.quantity("nll", 0.5) == "0.500"
    assert percent.number("error", -0.01) == "−1.00"
    assert percent.change("error", -0.01) == "1.00 points"
    assert [each.label("error") for each in (percent, plain)] == ["error", "RMSE"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1234.56, "1235"),
        (53.204, "53.20"),
        (0.0012345, "0.001234"),
        (123456.7, "123457"),
        (-0.5, "−0.5000"),
        (0.0, "0"),
    ],
)
def test_quantities_of_any_size_have_four_digits_and_no_exponent(
    plain: Words, value: float, written: str
) -> None:
    assert plain.number("error", value) == written


@pytest.mark.parametrize("value", [-0.0, -1e-6, -4.9e-5])
def test_no_zero_has_a_sign(percent: Words, plain: Words, value: float) -> None:
    assert percent.number("error", value) == "0.00"
    assert percent.number("nll", value) == "0.000"
    assert plain.number("error", -0.0) == "0"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (0.622, 0.722, "from 0.622 to 0.722"),
        (0.62249, 0.62251, "from 0.62249 to 0.62251"),
        (0.622, 0.622 + 3e-9, "from 0.622000000 to 0.622000003"),
        (0.622, 0.622, "from 0.622 to 0.622"),
    ],
)
def test_what_differs_looks_different(percent: Words, before: float, after: float, told: str) -> None:
    assert percent.move("nll", before, after) == told


def test_an_end_next_to_zero_shows_its_side(percent: Words) -> None:
    assert percent.numbers("nll", -0.013, -0.0003) == ["−0.0130", "−0.0003"]
    assert percent.numbers("nll", -0.013, -1e-9) == ["−0.01300", "0.00000"]
    assert percent.numbers("error", -0.0038, 0.0038) == ["−0.38", "0.38"]


def test_a_change_is_never_written_as_none(percent: Words) -> None:
    assert percent.change("error", 2e-5) == "0.002 points"
    assert percent.change("error", 0.0) == "0.00 points"


def test_a_difference_has_the_places_of_its_interval(percent: Words, result: StudyResult) -> None:
    usual = replace(result.comparisons[0], metric="nll")

    def written(low: float | None, mean: float, high: float | None) -> tuple[str, str]:
        each: Comparison = replace(usual, low=low, mean=mean, high=high)
        return percent.difference(each), percent.interval(each)

    assert written(2e-5, 3e-5, 4e-5) == ("0.00003", "0.00002 to 0.00004")
    assert written(-0.004, -1e-6, 0.004) == ("0.000", "−0.004 to 0.004")
    assert written(None, 0.25, None) == ("0.250", NOTHING)


def test_none_itself_has_no_difference_on_the_sealed_part(percent: Words) -> None:
    none = Sealed("none", "error", 0.3, None, None, None)
    assert (percent.difference(none), percent.interval(none)) == (NOTHING, NOTHING)


def test_a_spread_has_the_places_of_its_score(percent: Words, plain: Words) -> None:
    assert plain.with_spread("error", 55.494, 5.0987) == "55.49 ± 5.10"
    assert percent.with_spread("error", 0.05, 0.001) == "5.00 ± 0.10"
    assert percent.with_spread("nll", 0.5, None) == "0.500 ± –"


def test_the_margin_is_told_for_each_score_that_has_one(percent: Words, plain: Words) -> None:
    assert percent.margins() == "0.5 points of error or 0.5 % of none's NLL"
    one = Words(made_up.plan(tests={"margin": 0.01}))
    assert one.margins() == "1 point of error or 1 % of none's NLL"
    assert plain.margins() == "0.5 % of none's RMSE or 0.005 nats of NLL"
    assert plain.plan.margin_of("nll", -0.3) == pytest.approx(math.log(1.005))
    own = Words(replace(percent.plan, tests=replace(percent.plan.tests, name="cost")))
    assert own.margins() == "0.5 % of none's cost or NLL"
    assert Words(made_up.plan(tests={"margin": None})).margins() == ""


def test_an_arm_tells_what_is_not_at_its_default(percent: Words) -> None:
    arm = Arm("a", "b", learning_rate=0.00123, rate=0.25, method="drop_block", at=("1", "3"), bagging=True)
    assert percent.settings(arm) == "learning rate 0.00123, rate 0.25, method drop block, place 1, 3, bagging"
    assert percent.settings(Arm("a", "b", schedule="late")) == "schedule late"
    assert percent.settings(Arm("none", "none")) == NOTHING
    assert Words(percent.plan, "zh").settings(replace(arm, at=())).startswith("学习率 0.00123、丢弃率 0.25、")


def test_a_family_tells_which_of_its_best_values_lie_at_an_end(percent: Words) -> None:
    best = Arm("dropout", "dropout", rate=0.7)
    family = Family("dropout", best, 12, 0, 0, None, None, at_edge=("rate",))
    assert percent.at_edge(family) == "dropout (rate 0.7)"
    assert percent.at_edge(replace(family, best=None)) == "dropout"


def test_a_trial_has_the_name_of_its_family_and_a_name_of_the_users_stays() -> None:
    words = Words(made_up.plan(), "zh")
    assert words.arm("label smoothing 12") == "标签平滑 12"
    assert words.arm("my net 3") == "my net 3"
