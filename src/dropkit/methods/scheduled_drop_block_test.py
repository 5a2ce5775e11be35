import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.drop_block import drop_block
from dropkit.methods.scheduled_drop_block import METHOD, scheduled_drop_block

SHAPE = (2, 2, 9, 7)


def test_it_is_drop_block_at_the_rate_of_the_step() -> None:
    drop = scheduled_drop_block(0.2, 10, 3)
    for step, rate in ((0, 0.0), (5, 0.1), (10, 0.2), (99, 0.2)):
        assert drop.at(step) == drop_block(rate, 3)
    coupled = scheduled_drop_block(0.2, 10, (2, 3), couple_channels=True).at(10)
    assert coupled == drop_block(0.2, (2, 3), couple_channels=True)


def test_what_falls_at_one_step_falls_at_every_later_one() -> None:
    """Under one key a growing rate adds blocks, and moves none."""
    drop = scheduled_drop_block(0.9, 10, 2)
    gone = np.stack([mask(5, SHAPE, drop.at(step)) == 0 for step in range(11)])
    assert (np.diff(gone.astype(int), axis=0) >= 0).all()
    assert not gone[0].any()


def test_the_picture_is_that_of_half_time() -> None:
    half = mask(3, METHOD.example.shape, drop_block(0.2, 4))
    assert np.array_equal(METHOD.picture(3), half)


@pytest.mark.parametrize(("rate", "steps"), [(1.1, 10), (0.1, 0)])
def test_what_is_out_of_range_is_refused(rate: float, steps: int) -> None:
    with pytest.raises(DropkitError, match=r"end must be|steps must be"):
        scheduled_drop_block(rate, steps)
