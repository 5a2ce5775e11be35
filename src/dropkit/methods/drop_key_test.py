from itertools import product

import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.rate import ONE
from dropkit.methods.drop_key import decreasing_rates, hidden

LEVELS = (2 * np.arange(4) + 1) * ONE // 8
ROWS = np.array(list(product(LEVELS, repeat=3)))
UNLIKE = ROWS[[len(set(row)) == 3 for row in ROWS.tolist()]]


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 1.0])
def test_what_stays_is_a_distribution_in_the_old_proportions(rate: float) -> None:
    scores = np.array([0.3, -1.0, 2.0])
    gone = hidden(UNLIKE, rate, np)
    weights = softmax(np.where(gone, -np.inf, scores))
    assert weights.sum(-1) == pytest.approx(np.ones(len(UNLIKE)))
    kept = np.where(gone, 0.0, softmax(scores))
    assert weights == pytest.approx(kept / kept.sum(-1, keepdims=True))


def test_every_key_is_lost_as_often_as_every_other_at_the_rate_less_the_spared() -> None:
    # Of 4 levels two lie below one half; three unlike draws never all do, so that none is spared.
    share = hidden(UNLIKE, 0.5, np).mean(0)
    assert share == pytest.approx(np.full(3, 0.5))
    alone = hidden(LEVELS[:, None], 0.5, np)
    assert not alone.any()


def test_at_rate_1_a_query_keeps_one_key_that_it_may_see() -> None:
    visible = np.array([True, True, False])
    left = ~hidden(UNLIKE, 1.0, np, visible) & visible
    assert (left.sum(-1) == 1).all()
    assert not hidden(UNLIKE, 1.0, np, np.zeros(3, bool)).any()


def test_a_rate_of_a_thousandth_is_one_and_no_255th() -> None:
    word = round(0.001 * ONE)
    row = np.array([word - 1, word, ONE - 1])
    assert hidden(row, 0.001, np).tolist() == [True, False, False]


def test_rates_fall_with_depth() -> None:
    assert decreasing_rates(0.3, 3) == pytest.approx((0.3, 0.2, 0.1))
    with pytest.raises(DropkitError, match="rate must be"):
        decreasing_rates(1.5, 3)
