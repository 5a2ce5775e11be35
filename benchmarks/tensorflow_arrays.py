"""Dropout of TensorFlow's tensors against TensorFlow's own: time of `tf.nn.dropout` / time of `dropkit.drop`.

    python -m benchmarks.tensorflow_arrays

Both are compiled by XLA, but for the last column.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import tensorflow as tf

import dropkit
from benchmarks.turns import ratios

SIZES = (2**10, 2**16, 2**20, 2**24)
RATE = 0.1


def compiled(function: Any) -> Any:
    """Return the function for XLA, which reads the code of a function once and not by AutoGraph."""
    return tf.function(function, jit_compile=True, autograph=False)


def both(function: Any, x: Any) -> Any:
    """Forward and backward."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x, output_gradients=x)


def ours(x: Any) -> Any:
    """Drop by an address; the key comes from TensorFlow's generator."""
    return dropkit.drop(x, RATE)


def peer(x: Any) -> Any:
    """Drop as TensorFlow does."""
    return tf.nn.dropout(x, RATE)


def measure(size: int) -> dict[str, float]:
    """Return how many times as long as ours TensorFlow's takes."""
    x = tf.ones(size)

    def ratio(mine: Any, other: Any) -> float:
        return ratios(lambda: mine(x).numpy(), {"peer": lambda: other(x).numpy()})["peer"]

    return {
        "forward": ratio(compiled(ours), compiled(peer)),
        "both": ratio(compiled(partial(both, ours)), compiled(partial(both, peer))),
        "eager": ratio(ours, peer),
        "relu / ours": ratio(compiled(ours), compiled(tf.nn.relu)),
    }


if __name__ == "__main__":
    for size in SIZES:
        print(size, "  ".join(f"{name} {ratio:.2f}" for name, ratio in measure(size).items()), flush=True)
