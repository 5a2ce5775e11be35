"""Draw the same addresses with another framework: run by `tools.prove.generators` where that is installed."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dropkit.core.philox import philox4x32

Array = np.ndarray[Any, Any]


def with_jax(counters: Array, key: Array) -> Array:
    """Our own lines on JAX arrays of int64, compiled."""
    jax: Any = importlib.import_module("jax")
    drawn = jax.jit(philox4x32)(tuple(map(jax.numpy.asarray, counters.T)), tuple(map(jax.numpy.asarray, key)))
    return np.stack([np.asarray(word) for word in drawn], 1)


def with_tensorflow(counters: Array, key: Array) -> Array:
    """Our own lines on TensorFlow's int64, whose tensors have no operator for shifts."""
    tf: Any = importlib.import_module("tensorflow")

    class Word:
        """A tensor with the operators that Philox takes."""

        def __init__(self, value: Any) -> None:
            self.value = value if tf.is_tensor(value) else tf.constant(value, tf.int64)

        def _by(self, operation: Callable[..., Any], other: Any) -> Word:
            return Word(
                operation(
                    self.value, other.value if isinstance(other, Word) else tf.constant(other, tf.int64)
                )
            )

        def __mul__(self, other: Any) -> Word:
            return self._by(operator.mul, other)

        def __add__(self, other: Any) -> Word:
            return self._by(operator.add, other)

        def __and__(self, other: Any) -> Word:
            return self._by(tf.bitwise.bitwise_and, other)

        def __xor__(self, other: Any) -> Word:
            return self._by(tf.bitwise.bitwise_xor, other)

        def __rshift__(self, other: Any) -> Word:
            return self._by(tf.bitwise.right_shift, other)

    drawn = philox4x32(tuple(map(Word, counters.T)), tuple(map(Word, key)))  # type: ignore[arg-type]  # four and two
    return np.stack([word.value.numpy() for word in drawn], 1)


def with_triton(counters: Array, key: Array) -> Array:
    """Triton's own tl.philox, an implementation that is not ours."""
    import torch

    from tools.prove.triton_kernel import draw

    words = torch.empty(counters.shape, dtype=torch.int64)
    seed = int(np.array(int(key[0]) | int(key[1]) << 32, np.uint64).astype(np.int64))
    block = 4096
    grid = (-(-len(counters) // block),)
    draw[grid](torch.from_numpy(counters), words, seed, len(counters), BLOCK=block)
    return words.numpy()


FRAMEWORKS = {"JAX": with_jax, "TensorFlow": with_tensorflow, "Triton's interpreter": with_triton}


def main() -> None:
    """Read addresses from a folder and leave the words there."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    given = np.load(folder / "addresses.npz")
    np.save(folder / "words.npy", FRAMEWORKS[name](given["counters"], given["key"]))


if __name__ == "__main__":
    main()
