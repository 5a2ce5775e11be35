import itertools

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.noise import Bernoulli
from dropkit.core.reference import apply, mask
from dropkit.methods.mixout import mixout

W, U = np.array([[0.5, -2.0, 4.0], [1.0, 3.0, -1.0]]), np.array([[0.25, 1.0, 0.0], [2.0, -1.0, 5.0]])


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_the_formula_is_that_of_the_paper_and_its_mean_is_the_weight(rate: float) -> None:
    m = mask(3, W.shape, mixout(rate, "weight")) != 0
    mixed = ((~m) * U + m * W - rate * U) / (1 - rate)
    assert apply(W, mixout(rate, "weight"), key=3, fill=U) == pytest.approx(mixed, rel=1e-13, abs=1e-13)
    chances = [((1 - rate) if kept else rate) for kept in (False, True)]
    kept, dropped = (W - rate * U) / (1 - rate), (U - rate * U) / (1 - rate)
    assert chances[1] * kept + chances[0] * dropped == pytest.approx(W, rel=1e-13)


def test_at_rate_1_the_pretrained_weights_are_used() -> None:
    assert np.array_equal(apply(W, mixout(1.0), key=1, fill=U), U)


def test_towards_zero_it_is_dropout() -> None:
    assert np.array_equal(
        apply(W, mixout(0.5, "weight"), key=1, fill=0 * W), W * mask(1, W.shape, mixout(0.5, "weight"))
    )
    assert Bernoulli().affine(0.5).scale == 2


def test_the_expected_penalty_grows_with_the_distance_from_the_pretrained_weight() -> None:
    """For a linear model under squared loss the expected loss is the loss and p/(1-p) sum of (w-u)^2 x^2."""
    rate, x, w, u = 0.3, np.array([1.0, -2.0, 0.5]), W[0], U[0]
    expected = 0.0
    for kept in itertools.product([0, 1], repeat=3):
        m = np.array(kept)
        mixed = ((1 - m) * u + m * w - rate * u) / (1 - rate)
        expected += np.where(m == 1, 1 - rate, rate).prod() * (mixed @ x) ** 2
    penalty = rate / (1 - rate) * ((w - u) ** 2 @ x**2)
    assert expected == pytest.approx((w @ x) ** 2 + penalty, rel=1e-13)


def test_weights_out_of_one_neuron_share_their_coin() -> None:
    m = mask(5, (6, 40, 3, 3), mixout(0.5))
    assert np.array_equal(m, np.broadcast_to(m[:1, :, :1, :1], m.shape))
    assert len(np.unique(m)) == 2
    with pytest.raises(DropkitError, match="per must be one of"):
        mixout(0.5, "column")  # type: ignore[arg-type]  # a wrong kind is the point
