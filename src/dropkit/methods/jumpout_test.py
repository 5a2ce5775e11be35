import numpy as np
import pytest

from dropkit.methods.jumpout import METHOD, drawn_rate, factor, spread_rate


def test_the_rate_is_half_normal_and_stays_between_its_limits() -> None:
    z = np.array([0.0, 0.5, -0.5, 1.0, -100.0])
    assert drawn_rate(z, 0.2, 0.05, 0.6) == pytest.approx([0.05, 0.15, 0.15, 0.25, 0.6])


@pytest.mark.parametrize("active", [0.25, 0.5, 1.0])
def test_active_units_fall_as_often_in_every_layer(active: float) -> None:
    assert spread_rate(np.array(0.1), np.array(active), 0.9) * active == pytest.approx(0.1)


def test_the_rate_stays_below_its_limit_where_few_or_none_are_active() -> None:
    shares = np.array([0.0, 1e-9, 0.1])
    assert spread_rate(np.array(0.2), shares, 0.7).tolist() == [0.7, 0.7, 0.7]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_scale_lies_midway_between_those_of_mean_and_second_moment(rate: float) -> None:
    scale = factor(1.0, rate)
    mean, second = (1 - rate) * scale, (1 - rate) * scale**2
    assert mean < 1 < second
    assert scale == pytest.approx(((1 - rate) ** -1.0 * (1 - rate) ** -0.5) ** 0.5)


def test_a_unit_that_fell_is_0() -> None:
    assert factor(np.array([0.0, 1.0]), 0.75).tolist() == [0.0, pytest.approx(4**0.75)]


def test_the_picture_has_one_rate() -> None:
    assert len(set(METHOD.picture().flatten())) == 2
