import itertools

import numpy as np
import pytest

from dropkit.core.reference import mask
from dropkit.methods.consistent_dropout import consistent_dropout


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_batch_of_any_size_meets_the_mask_of_the_pass(size: int) -> None:
    pool = mask(5, (64, 3, 8), consistent_dropout(0.5))
    assert np.array_equal(pool, np.broadcast_to(pool[:1], pool.shape))
    assert np.array_equal(mask(5, (size, 3, 8), consistent_dropout(0.5)), pool[:size])
    assert len(np.unique(pool[0])) == 2


def test_channels_are_dropped_whole() -> None:
    drawn = mask(5, (4, 32, 3, 3), consistent_dropout(0.5, channels=True))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:1, :, :1, :1], drawn.shape))
    assert len(np.unique(drawn)) == 2


def test_passes_differ() -> None:
    first, second = (mask(key, (2, 64), consistent_dropout(0.5)) for key in (1, 2))
    assert not np.array_equal(first, second)


def test_two_points_covary_as_one_model_and_not_at_all_under_masks_of_their_own() -> None:
    """Summed over every mask: Cov(w m x, w m x') is that of one random model, the point of the method."""
    rate, (x, other) = 0.3, np.array([[1.0, 2.0], [3.0, -1.0]])
    kept = np.array(list(itertools.product([0.0, 1.0], repeat=2)))
    chance = np.where(kept == 1, 1 - rate, rate).prod(1)
    scaled = kept * consistent_dropout(rate).noise.affine(rate).scale
    outputs, others = scaled @ x, scaled @ other
    covariance = chance @ (outputs * others) - (chance @ outputs) * (chance @ others)
    assert covariance == pytest.approx(rate / (1 - rate) * (x * other).sum())
