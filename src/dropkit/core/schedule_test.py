"""Each schedule against its formula, the ends exactly."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.check import DropkitError
from dropkit.core.schedule import (
    Curriculum,
    Early,
    constant_schedule,
    cosine_schedule,
    curriculum_schedule,
    early_schedule,
    late_schedule,
    linear_schedule,
    ramp_schedule,
    valley_schedule,
)

RATE = st.floats(0, 1)
STEP = st.integers(0, 10**7)
STEPS = st.integers(1, 10**6)


@given(RATE, STEP)
def test_constant(rate: float, step: int) -> None:
    assert constant_schedule(rate)(step) == rate


@given(RATE, RATE, STEPS, STEP)
def test_linear(start: float, end: float, steps: int, step: int) -> None:
    schedule = linear_schedule(start, end, steps)
    assert (schedule(0), schedule(steps), schedule(steps + step)) == (start, end, end)
    assert schedule(step) == pytest.approx(start + (end - start) * min(step / steps, 1), abs=1e-15)


@given(RATE, RATE, STEPS, STEP)
def test_cosine(start: float, end: float, steps: int, step: int) -> None:
    schedule = cosine_schedule(start, end, steps)
    assert (schedule(0), schedule(steps), schedule(steps + step)) == (start, end, end)
    expected = end + (start - end) * (1 + math.cos(math.pi * min(step / steps, 1))) / 2
    assert schedule(step) == pytest.approx(expected, abs=1e-15)


@given(RATE, STEPS)
def test_early_is_on_then_off_and_late_off_then_on(rate: float, steps: int) -> None:
    early, late = early_schedule(rate, steps), late_schedule(rate, steps)
    assert [early(step) for step in (0, steps - 1, steps, 2 * steps)] == [rate, rate, 0, 0]
    assert [late(step) for step in (0, steps - 1, steps, 2 * steps)] == [0, 0, rate, rate]


@given(RATE, st.floats(1e-9, 10), STEP)
def test_curriculum(rate: float, gamma: float, step: int) -> None:
    # Morerio et al. write what is kept: theta(t) = (1 - theta_end) exp(-gamma t) + theta_end.
    kept_at_the_end = 1 - rate
    kept = (1 - kept_at_the_end) * math.exp(-gamma * step) + kept_at_the_end
    assert Curriculum(rate, gamma)(step) == pytest.approx(1 - kept, abs=1e-15)


@given(RATE, RATE, STEPS, STEPS)
def test_a_valley_falls_to_0_and_rises_to_its_end(start: float, end: float, down: int, up: int) -> None:
    valley = valley_schedule(start, end, down, down + up)
    assert [valley(step) for step in (0, down, down + up, down + 2 * up)] == [start, 0, end, end]
    assert valley(down // 2) == pytest.approx(start * (1 - down // 2 / down))
    assert valley(down + up // 2) == pytest.approx(end * (up // 2 / up))


def test_a_valley_turns_before_it_ends() -> None:
    with pytest.raises(DropkitError, match="turn comes before steps, 10, got 10"):
        valley_schedule(0.1, 0.1, 10, 10)


def test_the_papers_speed_of_a_curriculum() -> None:
    assert curriculum_schedule(0.5, 400) == Curriculum(0.5, 10 / 400)


@given(RATE, RATE, STEPS, STEP)
def test_no_schedule_leaves_the_unit_interval(start: float, end: float, steps: int, step: int) -> None:
    schedules = [
        constant_schedule(start),
        linear_schedule(start, end, steps),
        cosine_schedule(start, end, steps),
        early_schedule(start, steps),
        late_schedule(start, steps),
        curriculum_schedule(start, steps),
        valley_schedule(start, end, steps, 2 * steps),
        ramp_schedule(end, steps),
    ]
    assert all(0 <= schedule(step) <= 1 for schedule in schedules)


@pytest.mark.parametrize("step", [-1, 0.5, "3", None, True])
def test_a_step_is_a_count(step: Any) -> None:
    with pytest.raises(DropkitError, match=r"^step must be a whole number of at least 0"):
        Early(0.1, 5)(step)
