from itertools import product

import numpy as np
import pytest

from dropkit.core.rate import ONE
from dropkit.methods.uni_drop import dropped_words

LEVELS = (2 * np.arange(4) + 1) * ONE // 8
DRAWS = np.array(list(product(LEVELS, repeat=3)))


@pytest.mark.parametrize(("rate", "keep"), [(0.5, 0.25), (0.25, 0.5), (1.0, 0.75), (0.75, 0.0)])
def test_a_word_falls_at_the_product_and_two_words_fall_together_more_often(rate: float, keep: float) -> None:
    gone = dropped_words(DRAWS[:, :2], DRAWS[:, 2:], rate, keep, np)
    assert gone.mean(0) == pytest.approx(np.full(2, rate * (1 - keep)))
    assert gone.all(-1).mean() == pytest.approx(rate**2 * (1 - keep))


def test_a_sequence_that_stays_whole_loses_no_word() -> None:
    assert not dropped_words(DRAWS[:, :2], DRAWS[:, 2:], 1.0, 1.0, np).any()
    assert dropped_words(DRAWS[:, :2], DRAWS[:, 2:], 1.0, 0.0, np).all()
