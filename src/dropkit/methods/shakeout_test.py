import numpy as np
import pytest

from dropkit.methods.shakeout import METHOD, factor, reversal, seen

W = np.array([[0.8, -0.3, 0.0], [-1.5, 0.2, 0.4]])
S = np.sign(W)
FALL, STAY = np.zeros(3), np.ones(3)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_contribution_is_reversed_or_enhanced_as_the_paper_says(rate: float) -> None:
    c = 0.2
    assert seen(W, S, factor(FALL, rate), c) == pytest.approx(-c * S)
    assert seen(W, S, factor(STAY, rate), c) == pytest.approx((W + c * rate * S) / (1 - rate))


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_the_mean_over_the_coin_is_the_weight(rate: float) -> None:
    mean = rate * seen(W, S, factor(FALL, rate), 0.7) + (1 - rate) * seen(W, S, factor(STAY, rate), 0.7)
    assert mean == pytest.approx(W, abs=1e-15)


def test_without_strength_it_is_dropout() -> None:
    assert np.array_equal(seen(W, S, factor(STAY, 0.5), 0.0), 2 * W)
    assert not seen(W, S, factor(FALL, 0.5), 0.0).any()


def test_two_products_give_what_the_seen_weights_give() -> None:
    """The layer never builds a weight for each sample: it multiplies r x by w and c (r - 1) x by sign(w)."""
    x, r = np.array([0.5, -2.0, 3.0]), factor(np.array([0.0, 1.0, 0.0]), 0.4)
    assert W @ (r * x) + S @ (reversal(r, 0.3) * x) == pytest.approx(seen(W, S, r, 0.3) @ x)


def test_at_rate_1_every_contribution_is_reversed() -> None:
    assert seen(W, S, factor(FALL, 1.0), 0.2) == pytest.approx(-0.2 * S)


def test_the_picture_has_both_reversed_and_enhanced_weights() -> None:
    drawn = METHOD.picture()
    assert drawn.min() < 0 < 1 < drawn.max()
    assert {tuple(column) for column in (drawn < 0).T} == {(True,) * 16, (False,) * 16}
