import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core import rate as rates
from dropkit.core.check import DropkitError
from dropkit.core.rate import ONE, Learned, PerAxis, depth_rates, from_json, root, threshold, to_json
from dropkit.core.schedule import (
    Curriculum,
    Early,
    Late,
    Ramp,
    Schedule,
    constant_schedule,
    cosine_schedule,
    curriculum_schedule,
    early_schedule,
    late_schedule,
    linear_schedule,
    valley_schedule,
)

RATE = st.floats(0, 1)
STEP = st.integers(0, 10**7)
STEPS = st.integers(1, 10**6)


@given(RATE, st.integers(1, 200))
def test_depth_rates(rate: float, depth: int) -> None:
    made = depth_rates(rate, depth)
    assert made == pytest.approx([rate * layer / depth for layer in range(1, depth + 1)], abs=1e-15)
    # Equation (4) of Huang et al. writes what survives: p_l = 1 - l / L (1 - p_L).
    assert 1 - made[0] == pytest.approx(1 - 1 / depth * rate, abs=1e-15)
    assert all(0 <= layer <= 1 for layer in made)


# --- thresholds


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (0, 0),
        (0.5 / ONE, 0),
        (np.nextafter(0.5 / ONE, 1), 1),
        (1 / ONE, 1),
        (1.5 / ONE, 2),
        (2.5 / ONE, 2),
        (0.5, 2**31),
        (1 - 1 / ONE, ONE - 1),
        (np.nextafter(1, 0), ONE - 1),
        (1, ONE),
    ],
)
def test_thresholds_round_half_to_even_and_only_1_is_1(rate: float, expected: int) -> None:
    assert threshold(float(rate), np) == expected
    assert threshold(np.array([float(rate)]), np).tolist() == [expected]
    assert threshold(torch.tensor([float(rate)], dtype=torch.float64), torch).tolist() == [expected]


@given(st.lists(RATE, min_size=1))
def test_thresholds_of_arrays_are_those_of_numbers(many: list[float]) -> None:
    expected = [threshold(rate, np) for rate in many]
    assert threshold(np.array(many), np).tolist() == expected
    assert threshold(torch.tensor(many, dtype=torch.float64), torch).tolist() == expected


@given(RATE)
def test_a_threshold_is_the_rate_to_33_bits(rate: float) -> None:
    # The clamp below 1 costs one unit more than rounding does.
    assert abs(threshold(rate, np) / ONE - rate) <= (2**-33 if rate <= 1 - 2**-33 else 2**-32)


@given(RATE, st.integers(1, 200))
def test_the_root_is_what_n_coins_need(rate: float, n: int) -> None:
    one = root(rate, n, np)
    assert 0 <= one <= 1
    together = -math.expm1(n * math.log1p(-one)) if one < 1 else 1.0
    # One rounding of 2**-53 in the root grows at most n-fold.
    assert together == pytest.approx(rate, rel=1e-15, abs=n * 2**-52)
    if rate < 1:
        np.testing.assert_allclose(root(np.array([rate]), n, np), one, rtol=1e-15)


def test_the_root_of_1_is_1_for_tensors_too() -> None:
    assert root(torch.tensor([1.0, 0.75], dtype=torch.float64), 2, torch).tolist() == [1.0, 0.5]


def test_the_root_of_a_tiny_rate_keeps_its_digits() -> None:
    assert root(1e-12, 49, np) == pytest.approx(1e-12 / 49, rel=1e-11)


# --- kinds of rate


def test_per_axis_takes_any_sequence_of_rates() -> None:
    assert PerAxis([0, 0.5, 1], over="c").rates == (0.0, 0.5, 1.0)  # type: ignore[arg-type]  # a list serves


KINDS: list[Any] = [
    0.25,
    None,
    PerAxis((0.1, 0.5), over="c"),
    Learned(0.2),
    constant_schedule(0.1),
    linear_schedule(0, 0.3, 100),
    cosine_schedule(0.3, 0, 100),
    early_schedule(0.1, 7),
    late_schedule(0.1, 7),
    curriculum_schedule(0.5, 1000),
    valley_schedule(0.4, 0.2, 7, 9),
    Ramp(0.5, 7),
]


@pytest.mark.parametrize("rate", KINDS)
def test_json_round_trip(rate: Any) -> None:
    assert from_json(to_json(rate)) == rate


def test_every_kind_of_schedule_is_in_the_round_trip() -> None:
    assert {type(rate) for rate in KINDS if isinstance(rate, Schedule)} == set(Schedule.__subclasses__())


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (
            Late,
            (
                1.5,
                10,
            ),
            r"rate must be a number in \[0, 1\], got 1.5",
        ),
        (
            linear_schedule,
            (
                -0.1,
                0.5,
                10,
            ),
            r"start must be a number in \[0, 1\], got -0.1",
        ),
        (
            cosine_schedule,
            (
                0.1,
                "0.5",
                10,
            ),
            r"end must be a number in \[0, 1\], got '0.5'",
        ),
        (
            Early,
            (
                0.1,
                0,
            ),
            "steps must be a whole number of at least 1, got 0",
        ),
        (
            Curriculum,
            (
                0.1,
                0,
            ),
            r"gamma must be a number in \(0, inf\), got 0",
        ),
        (
            curriculum_schedule,
            (
                0.1,
                2.5,
            ),
            "steps must be a whole number of at least 1, got 2.5",
        ),
        (
            depth_rates,
            (
                0.1,
                0,
            ),
            "depth must be a whole number of at least 1, got 0",
        ),
        (
            depth_rates,
            (
                2,
                3,
            ),
            r"rate must be a number in \[0, 1\], got 2",
        ),
        (
            PerAxis,
            (
                (0.1, 1.1),
                "c",
            ),
            r"rates\[1\] must be a number in \[0, 1\], got 1.1",
        ),
        (
            PerAxis,
            (
                0.1,
                "c",
            ),
            "rates must be a tuple of numbers, got 0.1",
        ),
        (
            PerAxis,
            (
                (),
                "c",
            ),
            r"rates has one rate for each place, got \(\)",
        ),
        (
            PerAxis,
            (
                (0.1,),
                1,
            ),
            "over must be a str, got 1",
        ),
        (Learned, (0,), r"start must be a number in \(0, 1\), got 0"),
        (Learned, (1.0,), r"start must be a number in \(0, 1\), got 1.0"),
        (rates.check, ("0.5",), r"rate must be a number in \[0, 1\], got '0.5'"),
        (from_json, ({"kind": "cosin"},), "rate has a known kind, got 'cosin'; did you mean 'cosine'"),
    ],
)
def test_refuses(make: Callable[..., object], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DropkitError, match=f"^{message}"):
        make(*arguments)
