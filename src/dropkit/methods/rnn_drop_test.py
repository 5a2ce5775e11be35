import numpy as np
import pytest

from dropkit.core.reference import mask
from dropkit.methods.rnn_drop import rnn_drop


def test_every_step_has_the_mask_of_the_first() -> None:
    drawn = mask(4, (3, 7, 32), rnn_drop(0.5)["cell"])
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert len(np.unique(drawn[:, 0], axis=0)) == 3


@pytest.mark.parametrize(("scale", "growth"), [("train", 2.0), ("none", 1.0)])
def test_a_kept_cell_grows_at_each_step_by_the_factor_of_its_scale(scale: str, growth: float) -> None:
    m = mask(4, (1, 3, 32), rnn_drop(0.5, scale)["cell"])[0]
    cell = np.ones(32)
    for step in m:
        cell = step * cell
    assert np.array_equal(cell, np.where(m[0] == 0, 0.0, growth**3))
