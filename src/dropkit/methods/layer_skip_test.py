import math

import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.methods.layer_skip import exit_weights, layer_skip_rates


def test_rates_are_the_papers_exponential_over_depth() -> None:
    depth, rate = 32, 0.2
    expected = [rate * (math.exp(layer * math.log(2) / (depth - 1)) - 1) for layer in range(depth)]
    assert layer_skip_rates(rate, depth) == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_curriculum_begins_at_0_and_ends_at_the_constant_rates() -> None:
    assert layer_skip_rates(0.2, 4, step=0, steps=10) == (0.0,) * 4
    for step in (10, 11, 10**6):
        assert layer_skip_rates(0.2, 4, step=step, steps=10) == layer_skip_rates(0.2, 4)
    halfway = layer_skip_rates(0.2, 4, step=5, steps=10)[-1]
    assert halfway == pytest.approx(0.2 * (math.sqrt(2) - 1), rel=1e-12)


def test_a_single_layer_has_the_full_rate() -> None:
    assert layer_skip_rates(0.3, 1) == (0.3,)


def test_weights_of_all_exits_are_the_running_sums_of_layers() -> None:
    depth, scale = 8, 0.3
    sums = np.cumsum(np.arange(1, depth + 1)) * np.where(np.arange(depth) < depth - 1, scale, 1.0)
    assert exit_weights(depth, scale) == pytest.approx(sums / sums.sum(), rel=1e-12)


def test_the_last_layer_is_always_active_and_the_others_by_choice() -> None:
    assert exit_weights(4, 1.0, active=[1]) == pytest.approx((0.0, 3 / 13, 0.0, 10 / 13))
    assert exit_weights(4, 0.0) == (0.0, 0.0, 0.0, 1.0)
    assert exit_weights(4, 1.0, active=[]) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layer_skip_rates(1.5, 4), r"rate must be a number in \[0, 1\]"),
        (lambda: layer_skip_rates(0.5, 0), "depth must be a whole number of at least 1"),
        (lambda: layer_skip_rates(0.5, 4, step=1), "step and steps are given together"),
        (lambda: layer_skip_rates(0.5, 4, step=-1, steps=3), "step must be a whole number of at least 0"),
        (lambda: layer_skip_rates(0.5, 4, step=1, steps=0), "steps must be a whole number of at least 1"),
        (lambda: exit_weights(0), "depth must be a whole number of at least 1"),
        (lambda: exit_weights(3, -1.0), r"scale must be a number in \[0, inf\)"),
        (lambda: exit_weights(3, 1.0, [3]), r"active\[0\] must be a whole number of at least 0 and below 3"),
    ],
)
def test_numbers_out_of_range_are_refused(call: object, message: str) -> None:
    with pytest.raises(DropkitError, match=message):
        call()  # type: ignore[operator]  # one of the lambdas above
