import numpy as np

from dropkit.core.drop import Drop
from dropkit.core.reference import apply
from dropkit.methods.feature_alpha_dropout import feature_alpha_dropout


def test_a_channel_is_an_entry_of_alpha_dropout_stretched_over_space() -> None:
    x = np.arange(6.0).reshape(2, 3)
    stretched = np.broadcast_to(x[:, :, None, None], (2, 3, 4, 5))
    entries = apply(x, Drop(0.5, noise="alpha"), key=5)
    y = apply(stretched, feature_alpha_dropout(0.5), key=5)
    assert np.array_equal(y, np.broadcast_to(entries[:, :, None, None], y.shape))
