"""Attention whose dropout is ours."""

from __future__ import annotations

import keras

from dropkit.keras.layer import registered
from dropkit.keras.layers import Dropout

__all__ = ["MultiHeadAttention"]


@registered
class MultiHeadAttention(keras.layers.MultiHeadAttention):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.MultiHeadAttention` whose attention weights are dropped by dropkit: by address.

    Arguments and outputs are Keras's; `dropout` is the rate of the weights after the softmax.

    >>> layer = MultiHeadAttention(2, 4, dropout=0.1)
    >>> x = keras.ops.ones((1, 3, 8))
    >>> tuple(layer(x, x, training=True).shape)
    (1, 3, 8)
    """

    def _build_attention(self, rank: int) -> None:
        super()._build_attention(rank)
        if self._dropout > 0:
            self._dropout_layer = Dropout(self._dropout, seed=self.seed, dtype=self.dtype_policy)
