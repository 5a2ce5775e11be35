import numpy as np
import pytest

from dropkit.core.reference import mask
from dropkit.methods.spatial_dropout import spatial_dropout


@pytest.mark.parametrize("space", [(5,), (5, 4), (5, 4, 3)])
def test_a_map_of_any_dimension_has_one_trial_a_channel(space: tuple[int, ...]) -> None:
    drawn = mask(3, (4, 6, *space), spatial_dropout(0.5)).reshape(4, 6, -1)
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :, :1], drawn.shape))
    assert np.array_equal(drawn[:, :, 0], mask(3, (4, 6), spatial_dropout(0.5)))


def test_channels_last_draws_the_same_channels() -> None:
    first = mask(3, (4, 6, 5, 7), spatial_dropout(0.5))
    last = mask(3, (4, 5, 7, 6), spatial_dropout(0.5, channels_last=True))
    assert np.array_equal(np.moveaxis(first, 1, -1), last)
