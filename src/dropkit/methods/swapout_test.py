import itertools

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.key import Key
from dropkit.core.reference import apply, mask
from dropkit.methods.swapout import BRANCH, METHOD, SKIP, swapout

X, F = np.array([3.0]), np.array([5.0])


def test_a_unit_is_dropped_skipped_feedforward_or_residual() -> None:
    outcomes = {
        float(apply(X, swapout(0, a)[0], 1)[0] + apply(F, swapout(b)[1], 1)[0])
        for a, b in itertools.product((0, 1), repeat=2)
    }
    assert outcomes == {0.0, 3.0, 5.0, 8.0}


def test_evaluation_is_the_expected_value_over_both_coins() -> None:
    rate, skip_rate = 0.3, 0.6
    expected = sum(
        pa * pb * (a * X + b * F)
        for (a, pa), (b, pb) in itertools.product(
            ((0, skip_rate), (1, 1 - skip_rate)), ((0, rate), (1, 1 - rate))
        )
    )
    skip, branch = swapout(rate, skip_rate)
    assert apply(X, skip, mode="eval") + apply(F, branch, mode="eval") == pytest.approx(expected, rel=1e-15)


def test_the_two_coins_of_a_unit_are_apart() -> None:
    skip, branch = swapout(0.5)
    key = Key(4)
    both = mask(key.fold(SKIP), (20, 20), skip), mask(key.fold(BRANCH), (20, 20), branch)
    assert not np.array_equal(*both)
    assert set(METHOD.picture().flatten()) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("rate", [-0.1, 1.5, "0.5"])
def test_both_rates_are_checked(rate: float) -> None:
    for arguments in ((rate,), (0.5, rate)):
        with pytest.raises(DropkitError, match=r"rate must be a number in \[0, 1\]"):
            swapout(*arguments)
