import math

import pytest

from dropkit import DropkitError
from dropkit.methods.progressive_layer_drop import METHOD, progressive_rates


@pytest.mark.parametrize("step", [0, 1, 10, 1000])
@pytest.mark.parametrize("theta", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("first_runs", [True, False])
def test_what_is_kept_falls_by_equal_steps_from_1_toward_theta(
    step: int, theta: float, first_runs: bool
) -> None:
    gamma, depth, expected = 0.01, 12, []
    kept = (1 - theta) * math.exp(-gamma * step) + theta
    p = 1.0
    for _ in range(depth):
        lower = p - (1 - kept) / depth
        expected.append(p if first_runs else lower)
        p = lower
    rates = [schedule(step) for schedule in progressive_rates(1 - theta, depth, gamma, first_runs)]
    assert [1 - rate for rate in rates] == pytest.approx(expected, rel=1e-12)


def test_the_first_layer_always_runs() -> None:
    assert METHOD.picture(7)[:, 0].all()
    assert [schedule(1000) for schedule in progressive_rates(1.0, 1, 0.5)] == [0.0]


def test_nothing_is_skipped_in_the_first_step() -> None:
    assert METHOD.picture(7)[0].all()


@pytest.mark.parametrize(
    ("arguments", "name"), [((1.5, 4, 0.1), "rate"), ((0.5, 0, 0.1), "depth"), ((0.5, 4, 0.0), "gamma")]
)
def test_numbers_out_of_range_are_refused(arguments: tuple[float, int, float], name: str) -> None:
    with pytest.raises(DropkitError, match=f"{name} must be a"):
        progressive_rates(*arguments)
