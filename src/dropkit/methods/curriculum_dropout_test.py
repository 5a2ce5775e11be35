import math

import pytest

from dropkit import DropkitError, curriculum_schedule
from dropkit.methods.curriculum_dropout import METHOD, curriculum_dropout


@pytest.mark.parametrize("step", [0, 1, 17, 4000])
def test_the_probability_of_keeping_is_the_papers(step: int) -> None:
    keep, gamma = 0.7, 0.01
    published = (1 - keep) * math.exp(-gamma * step) + keep
    assert 1 - curriculum_dropout(1 - keep, gamma).at(step).rate == pytest.approx(published, rel=1e-15)


def test_the_rate_begins_at_zero_and_ends_at_the_one_that_is_written() -> None:
    drop = curriculum_dropout(0.4, 0.5)
    assert drop.at(0).rate == 0
    assert drop.at(1000).rate == 0.4


def test_a_number_of_steps_is_a_speed() -> None:
    assert curriculum_dropout(0.4, 0.01).rate == curriculum_schedule(0.4, 1000)


def test_the_picture_begins_without_dropout() -> None:
    assert (METHOD.picture(7)[0] == 1).all()
    assert (METHOD.picture(7)[-1] == 0).any()


def test_a_speed_of_zero_is_refused() -> None:
    with pytest.raises(DropkitError, match="gamma must be a number in"):
        curriculum_dropout(0.4, 0.0)
