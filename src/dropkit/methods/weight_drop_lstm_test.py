import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.weight_drop_lstm import weight_drop_lstm


def test_each_weight_has_a_coin_or_each_row() -> None:
    each, rows = (mask(3, (64, 5), weight_drop_lstm(0.5, whole)) for whole in (False, True))
    assert {len(np.unique(row)) for row in each} == {1, 2}
    assert np.array_equal(rows, np.broadcast_to(rows[:, :1], rows.shape))
    assert set(np.unique(rows)) == {0.0, 2.0}
