from dataclasses import replace

import pytest

from dropkit.report.record import Comparison, Plan, StudyResult
from dropkit.report.words import (
    NOTHING,
    change,
    difference,
    interval,
    move,
    number,
    numbers,
    quantity,
    with_spread,
)


@pytest.fixture
def percent(result: StudyResult) -> Plan:
    return result.plan


@pytest.fixture
def plain(percent: Plan) -> Plan:
    return replace(percent, unit="")


def test_scores_are_written_in_their_units(percent: Plan, plain: Plan) -> None:
    assert quantity(percent, "error", 0.1234) == "12.34 %"
    assert quantity(percent, "nll", 0.5) == "0.500"
    assert number(percent, "error", -0.01) == "−1.00"
    assert change(percent, "error", -0.01) == "1.00 points"


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
    plain: Plan, value: float, written: str
) -> None:
    assert number(plain, "error", value) == written


@pytest.mark.parametrize("value", [-0.0, -1e-6, -4.9e-5])
def test_no_zero_has_a_sign(percent: Plan, plain: Plan, value: float) -> None:
    assert number(percent, "error", value) == "0.00"
    assert number(percent, "nll", value) == "0.000"
    assert number(plain, "error", -0.0) == "0"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.622, 0.722, "from 0.622 to 0.722"),
        (0.62249, 0.62251, "from 0.62249 to 0.62251"),
        (0.622, 0.622 + 3e-9, "from 0.622000000 to 0.622000003"),
        (0.622, 0.622, "from 0.622 to 0.622"),
    ],
)
def test_what_differs_looks_different(percent: Plan, before: float, after: float, words: str) -> None:
    assert move(percent, "nll", before, after) == words


def test_an_end_next_to_zero_shows_its_side(percent: Plan) -> None:
    assert numbers(percent, "nll", -0.013, -0.0003) == ["−0.0130", "−0.0003"]
    assert numbers(percent, "nll", -0.013, -1e-9) == ["−0.01300", "0.00000"]
    assert numbers(percent, "error", -0.0038, 0.0038) == ["−0.38", "0.38"]


def test_a_change_is_never_written_as_none(percent: Plan) -> None:
    assert change(percent, "error", 2e-5) == "0.002 points"
    assert change(percent, "error", 0.0) == "0.00 points"


def test_a_difference_has_the_places_of_its_interval(percent: Plan, result: StudyResult) -> None:
    usual = replace(result.comparisons[0], metric="nll")

    def written(low: float | None, mean: float, high: float | None) -> tuple[str, str]:
        each: Comparison = replace(usual, low=low, mean=mean, high=high)
        return difference(percent, each), interval(percent, each)

    assert written(2e-5, 3e-5, 4e-5) == ("0.00003", "0.00002 to 0.00004")
    assert written(-0.004, -1e-6, 0.004) == ("0.000", "−0.004 to 0.004")
    assert written(None, 0.25, None) == ("0.250", NOTHING)


def test_a_spread_has_the_places_of_its_score(percent: Plan, plain: Plan) -> None:
    assert with_spread(plain, "error", 55.494, 5.0987) == "55.49 ± 5.10"
    assert with_spread(percent, "error", 0.05, 0.001) == "5.00 ± 0.10"
    assert with_spread(percent, "nll", 0.5, None) == "0.500 ± –"
