import pytest

from dropkit.core.check import DropkitError
from dropkit.methods.drop_path import drop_path
from dropkit.methods.scheduled_drop_path import METHOD, scheduled_drop_path


@pytest.mark.parametrize(("step", "ratio"), [(0, 0.0), (25, 0.25), (100, 1.0), (250, 1.0)])
def test_the_keep_probability_falls_linearly_and_stays(step: int, ratio: float) -> None:
    keep = 0.7
    assert 1 - scheduled_drop_path(1 - keep, 100).at(step).rate == pytest.approx(1 - ratio * (1 - keep))


def test_at_the_end_it_is_drop_path() -> None:
    assert scheduled_drop_path(0.3, 10).at(10) == drop_path(0.3)


def test_the_picture_is_drawn_halfway() -> None:
    assert sorted(set(METHOD.picture().flatten())) == [0.0, pytest.approx(1 / 0.6)]


@pytest.mark.parametrize(("rate", "steps"), [(1.5, 10), (-0.1, 10), (0.3, 0), (0.3, 2.5)])
def test_a_rate_or_a_duration_out_of_range_is_refused(rate: float, steps: int) -> None:
    with pytest.raises(DropkitError, match=r"must be a (number in \[0, 1\]|whole number of at least 1)"):
        scheduled_drop_path(rate, steps)
