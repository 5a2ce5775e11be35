import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.head_dropout import head_dropout


def test_weights_and_outputs_of_the_heads_have_the_same_mask() -> None:
    weights = mask(2, (4, 8, 5, 5), head_dropout(0.5))
    outputs = mask(2, (4, 8, 5, 16), head_dropout(0.5))
    assert np.array_equal(weights[..., 0, 0], outputs[..., 0, 0])
    assert np.array_equal(weights, np.broadcast_to(weights[..., :1, :1], weights.shape))
    assert set(np.unique(weights)) == {0.0, 2.0}


def test_each_sample_drops_heads_of_its_own() -> None:
    drawn = mask(2, (4, 32, 1, 1), head_dropout(0.5))[:, :, 0, 0]
    assert len(np.unique(drawn, axis=0)) == 4
