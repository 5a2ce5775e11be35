import numpy as np

from dropkit import Drop, mask
from dropkit.methods.attention_dropout import attention_dropout


def test_it_is_dropout_at_another_site() -> None:
    shape = (2, 3, 4, 5)
    assert np.array_equal(mask(1, shape, attention_dropout(0.3)), mask(1, shape, Drop(0.3)))


def test_rows_sum_to_one_on_average_but_not_in_a_draw() -> None:
    weights = np.full((1, 1, 1, 2), 0.5)
    factors = np.array([[a, b] for a in (0, 2) for b in (0, 2)], float)
    sums = (weights[0, 0, 0] * factors).sum(-1)
    assert sums.mean() == 1
    assert sorted(sums.tolist()) == [0, 1, 1, 2]
