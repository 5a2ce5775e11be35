import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.locked_dropout import locked_dropout


def test_every_time_step_has_the_mask_of_the_first() -> None:
    drawn = mask(4, (3, 7, 16), locked_dropout(0.5))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert len(np.unique(drawn[:, 0], axis=0)) == 3


def test_time_first_draws_the_same_mask() -> None:
    batch_first = mask(4, (3, 7, 16), locked_dropout(0.5))
    time_first = mask(4, (7, 3, 16), locked_dropout(0.5, batch_first=False))
    assert np.array_equal(batch_first.swapaxes(0, 1), time_first)
