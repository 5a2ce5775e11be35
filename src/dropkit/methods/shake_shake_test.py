import numpy as np
import pytest

from dropkit.core.key import Key
from dropkit.core.reference import unit
from dropkit.methods.shake_shake import BACKWARD, FORWARD, METHOD, shares, weights

DRAWN = {"alpha": 0.2, "beta": 0.7}


@pytest.mark.parametrize("forward", FORWARD.words)
@pytest.mark.parametrize("backward", BACKWARD.words)
def test_the_shares_are_those_of_the_readmes_table(forward: str, backward: str) -> None:
    alpha, beta = shares(forward, backward, DRAWN.__getitem__)
    assert alpha == {"shake": 0.2, "even": 0.5}[forward]
    assert beta == {"shake": 0.7, "even": 0.5, "keep": alpha}[backward]


def test_the_weights_sum_to_one_so_that_equal_branches_pass_unchanged() -> None:
    first, second = weights(np.linspace(0, 1, 9))
    assert (first + second == 1).all()


def test_the_picture_has_one_share_for_each_sample() -> None:
    drawn = METHOD.picture(5)
    alpha = unit(Key(5).fold("alpha"), (8, 1, 1), "b ... -> b")[:, 0]
    assert np.array_equal(drawn[:, 0], np.broadcast_to(alpha, (8, 6)))
    assert np.array_equal(drawn[:, 1], 1 - drawn[:, 0])
