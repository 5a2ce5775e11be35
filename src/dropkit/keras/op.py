"""A dropout on the tensors of Keras's backend, under the two words of its SeedGenerator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from dropkit.core import reference
from dropkit.core.check import DropkitError
from dropkit.core.drop import Drop
from dropkit.core.groups import Groups
from dropkit.core.key import Key
from dropkit.core.reference import Arrays

__all__ = ["BACKENDS", "evaluate", "key_of", "next_words", "perturb", "unit"]

Tensor = Any
_MASK = 0xFFFFFFFF


def perturb(x: Tensor, drop: Drop, words: Tensor, rate: Tensor | None = None) -> Tensor:
    """Drop entries of a tensor as described, under a key of two words: the low one first.

    Args:
        x: a tensor of a floating type.
        drop: the description.
        words: two whole numbers below 2**32, e.g. what a SeedGenerator gives.
        rate: a float32 that takes the place of the number in the description, and may move.

    >>> import keras
    >>> key = keras.ops.array([7, 0])
    >>> keras.ops.convert_to_numpy(perturb(keras.ops.ones(4), Drop(0.5), key)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    return BACKENDS[keras.backend.backend()].perturb(x, drop, words, rate)


def unit(x: Tensor, groups: Groups, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return uniform draws v in (0, 1), one for each group, and 1 - v, under a key of two words.

    v = (u + 1/2) / 2**32, in float32, or in float64 where x is; 1 long along axes that share their draws.

    >>> import keras
    >>> from dropkit.core.groups import Pattern
    >>> v, rest = unit(keras.ops.ones(2), Pattern("n -> n"), keras.ops.array([42, 0]))
    >>> [keras.ops.convert_to_numpy(each).astype(float).round(3).tolist() for each in (v, rest)]
    [[0.756, 0.846], [0.244, 0.154]]
    """
    u = BACKENDS[keras.backend.backend()].draws(x, groups, words)
    wide = keras.backend.result_type(x.dtype, "float32")
    top = np.asarray(_MASK, keras.backend.standardize_dtype(u.dtype))
    both = u, keras.ops.subtract(top, u)
    v, rest = ((keras.ops.cast(word, wide) + 0.5) / 2.0**32 for word in both)
    return v, rest


def evaluate(x: Tensor, drop: Drop, rate: Tensor | None = None) -> Tensor:
    """Return the eval map of a description: x itself where that is the identity.

    Args:
        x: a tensor of a floating type.
        drop: the description.
        rate: a float32 that takes the place of the number in the description, and may move.

    >>> import keras
    >>> keras.ops.convert_to_numpy(evaluate(keras.ops.ones(2), Drop(0.25, scale="eval"))).tolist()
    [0.75, 0.75]
    """
    factor = drop.noise.eval_factor(1.0, drop.scale)
    if isinstance(factor, float) and factor == 1.0:
        return x
    if rate is not None:
        return x * keras.ops.cast(drop.noise.eval_factor(rate, drop.scale), x.dtype)
    shape = tuple(x.shape)
    if None in shape and not isinstance(drop.rate, float):
        mend = "give the model an input of known size, or one rate"
        raise DropkitError("x", "has a known size where each place has its own rate", shape, mend)
    shape = tuple(size or 1 for size in shape)
    held = reference.entry_rate(drop, shape)
    mapped = reference.evaluate(np.ones(1), drop, held, arrays=Arrays(shape=lambda _: shape))
    return x * keras.ops.cast(mapped, x.dtype)


def next_words(generator: Any) -> Tensor:
    """Return what `generator.next()` returns, and step as it does.

    torch's compiler cannot read Keras's own step, which goes through NumPy.
    """
    if keras.backend.backend() != "torch":
        return generator.next()
    import torch

    words = generator.state.value.clone()
    generator.state.assign(words + torch.tensor((0, 1), device=words.device))
    return words


def key_of(words: Any) -> Key:
    """Return the key that two words make, which replays their mask: `dropkit.mask(key, shape, drop)`.

    >>> key_of([7, 1])
    Key(word=4294967303, call=0, stream=0)
    """
    low, high = (int(word) & _MASK for word in np.asarray(words))
    return Key(high << 32 | low)


def _tensorflow(x: Tensor, drop: Drop, words: Tensor, rate: Tensor | None) -> Tensor:
    from dropkit.arrays import tensorflow

    return tensorflow.perturb(x, drop, _tensorflow_address(words), rate=rate)


def _tensorflow_draws(x: Tensor, groups: Groups, words: Tensor) -> Tensor:
    from dropkit.arrays import tensorflow

    return tensorflow.draws(x, groups, _tensorflow_address(words))


def _tensorflow_address(words: Tensor) -> Tensor:
    import tensorflow as tf

    return tf.concat((tf.cast(words, tf.int64) & _MASK, tf.zeros(2, tf.int64)), 0)


def _jax(x: Tensor, drop: Drop, words: Tensor, rate: Tensor | None) -> Tensor:
    from dropkit.arrays.jax import perturb

    return perturb(x, drop, _jax_address(words), rate=rate)


def _jax_draws(x: Tensor, groups: Groups, words: Tensor) -> Tensor:
    from dropkit.arrays import jax

    return jax.words(tuple(x.shape), groups, _jax_address(words))


def _jax_address(words: Tensor) -> Any:
    from dropkit.arrays.address import Address

    low, high = words.astype("uint32")
    return Address(low, high, np.uint32(0), np.uint32(0))


def _torch(x: Tensor, drop: Drop, words: Tensor, rate: Tensor | None) -> Tensor:
    import torch

    from dropkit.core.rate import ONE
    from dropkit.torch import functional
    from dropkit.torch.run import Call, law_of

    key = _torch_key(words)
    if rate is None:
        call = Call(law_of(drop), drop.rate if isinstance(drop.rate, float) else None)
    else:
        # A float32 below 1 times 2**32 is a whole number below 2**32, or is rounded to one.
        call = Call(law_of(drop), None, torch.round(rate.double() * ONE).to(torch.int64))
    return functional.perturb(x, call, key=key)


def _torch_draws(x: Tensor, groups: Groups, words: Tensor) -> Tensor:
    from dropkit.torch import draws

    return draws.words(x, None, groups, key=_torch_key(words))


def _torch_key(words: Tensor) -> Tensor:
    import torch

    low, high = words.to(torch.int64).unbind()
    return (low & _MASK) | high << 32


class _Backend(NamedTuple):
    """What carries a dropout out, and what draws the words that `unit` takes."""

    perturb: Callable[..., Tensor]
    draws: Callable[..., Tensor]


BACKENDS = {
    "tensorflow": _Backend(_tensorflow, _tensorflow_draws),
    "jax": _Backend(_jax, _jax_draws),
    "torch": _Backend(_torch, _torch_draws),
}
"""By the name of Keras's backend."""
