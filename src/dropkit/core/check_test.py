import fractions
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from dropkit.core.check import (
    RATE,
    DropkitError,
    Interval,
    MissingPackage,
    OneOf,
    Whole,
    check_each,
    check_kind,
    check_span,
    suggest,
    try_import,
)

MEND = "write something else"
RULES: list[Interval | Whole | OneOf] = [
    RATE,
    Interval(-1, 2, MEND, open_low=True),
    Interval(0, float("inf"), MEND, open_low=True, open_high=True),
    Whole(0, MEND),
    Whole(1, MEND, below=2**32),
    OneOf(("train", "eval", "mc")),
]
CASES = [(rule, value) for rule in RULES for value in rule.bad()]


@pytest.mark.parametrize(("rule", "value"), CASES)
def test_every_bad_value_is_refused_with_name_rule_value_and_mend(
    rule: Interval | Whole | OneOf, value: object
) -> None:
    with pytest.raises(DropkitError) as caught:
        rule.check("knob", value)
    assert str(caught.value) == f"knob {rule.rule}, got {value!r}; {caught.value.mend}"
    assert caught.value.mend


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, np.float32(0.25), np.int64(1), fractions.Fraction(1, 4)])
def test_an_interval_takes_its_edges_and_every_real_number(value: float) -> None:
    checked = RATE.check("rate", value)
    assert type(checked) is float
    assert checked == value


def test_open_edges_are_out_and_their_neighbours_in() -> None:
    rule = Interval(0, 1, MEND, open_low=True, open_high=True)
    assert rule.check("x", np.nextafter(0, 1)) > 0
    assert rule.check("x", np.nextafter(1, 0)) < 1
    assert {0, 1} <= set(rule.bad()[:2])


def test_a_whole_number_takes_its_ends() -> None:
    rule = Whole(3, MEND, below=5)
    assert [rule.check("n", value) for value in (3, np.uint8(4))] == [3, 4]
    assert type(rule.check("n", np.uint8(4))) is int


def test_rules_in_words() -> None:
    assert RATE.rule == "must be a number in [0, 1]"
    assert Interval(0, 1, MEND, open_low=True, open_high=True).rule == "must be a number in (0, 1)"
    assert Whole(0, MEND, below=2**64).rule == "must be a whole number of at least 0 and below 2**64"
    assert Whole(0, MEND, below=10).rule == "must be a whole number of at least 0 and below 10"
    assert Whole(1, MEND).rule == "must be a whole number of at least 1"
    assert OneOf(("a", "b")).rule == "must be one of 'a', 'b'"


def test_errors_travel_between_processes() -> None:
    error = DropkitError("rate", "must be small", 2.0, MEND)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.argument, copy.rule, copy.value, copy.mend) == ("rate", "must be small", 2.0, MEND)
    assert isinstance(copy, ValueError)


def test_long_values_are_cut() -> None:
    message = str(DropkitError("x", "is short", "a" * 1000, MEND))
    assert len(message) < 120
    assert "..." in message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (np.float64(1.5), "1.5"),
        (np.float32(1.1), "1.1"),
        (np.int64(-1), "-1"),
        (np.bool_(True), "True"),
        ((np.int64(2), np.float64(0.5)), "(2, 0.5)"),
        (np.eye(2), "array([[1., 0.], [0., 1.]])"),
    ],
)
def test_numpys_numbers_are_shown_as_numbers_and_every_value_in_one_line(value: object, shown: str) -> None:
    assert str(DropkitError("x", "is small", value, MEND)) == f"x is small, got {shown}; {MEND}"


def test_check_kind() -> None:
    assert check_kind("name", "a", str, MEND) == "a"
    with pytest.raises(DropkitError, match="name must be a str, got 5; write something else"):
        check_kind("name", 5, str, MEND)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (5, "sizes must be a tuple of numbers, got 5"),
        ("12", "sizes must be a tuple of numbers, got '12'"),
        ((1, -1), r"sizes\[1\] must be a whole number of at least 0, got -1"),
    ],
)
def test_check_each_names_the_place(values: object, message: str) -> None:
    with pytest.raises(DropkitError, match=f"^{message}; {MEND}$"):
        check_each("sizes", values, Whole(0, MEND))


def test_suggestions() -> None:
    assert suggest("evla", ["train", "eval"]) == "did you mean 'eval'?"
    assert suggest("zzz", ["train", "eval"]) == "choose from eval, train"
    assert suggest("zzz", []) == "leave it out"
    assert suggest("zzz", ["train", "eval"], otherwise="see the list") == "see the list"
    assert suggest("evla", ["train", "eval"], otherwise="see the list") == "did you mean 'eval'?"


def test_a_missing_package_says_what_to_type() -> None:
    with pytest.raises(MissingPackage, match=r"type: pip install 'dropkit\[torch\]'") as caught:
        try_import("no_such_package.inner", "torch")
    assert caught.value.name == "no_such_package"
    assert try_import("json", "torch").__name__ == "json"


def test_a_package_that_is_there_but_broken_speaks_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text("import no_such_part")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_part") as caught:
        try_import("half_installed", "torch")
    assert not isinstance(caught.value, MissingPackage)


def test_a_number_too_large_for_a_float_is_refused_like_any_other() -> None:
    with pytest.raises(DropkitError, match="rate must be a number in"):
        RATE.check("rate", 10**400)


@pytest.mark.parametrize("pair", [(1, 0), (0,), (0, 0.5, 1), 0.5, "01", (0, math.nan), (None, 1), (0, 2)])
def test_what_is_no_span_is_refused(pair: object) -> None:
    with pytest.raises(DropkitError, match=r"^alpha"):
        check_span("alpha", pair, RATE)


def test_a_span_may_be_one_point() -> None:
    assert check_span("alpha", [0.5, 0.5], RATE) == (0.5, 0.5)
