"""Dropout of JAX arrays against what JAX's own libraries do: time of one / time of `dropkit.drop`.

    python -m benchmarks.jax_arrays

The peer is `flax.linen.Dropout`'s formula: `jax.random.bernoulli`, then `where`. Both are compiled.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from jax import numpy as jnp

import dropkit
from benchmarks.turns import ratios

SIZES = (2**10, 2**16, 2**20, 2**24)
RATE = 0.1


def ours(x: Any, key: Any, noise: str = "bernoulli") -> Any:
    """Drop by an address."""
    return dropkit.drop(x, RATE, noise=noise, key=key)


def peer(x: Any, key: Any) -> Any:
    """Drop as JAX's libraries do."""
    return jnp.where(jax.random.bernoulli(key, 1 - RATE, x.shape), x / (1 - RATE), 0)


def step(function: Any) -> Any:
    """Return the gradient of a sum, compiled: a forward and a backward pass."""
    return jax.jit(jax.grad(lambda x, key: (function(x, key) ** 2).sum()))


def measure(size: int) -> dict[str, float]:
    """Return how many times as long as ours JAX's takes, forward, with its gradient, and eager."""
    x, key = jnp.ones(size), jax.random.key(1)

    def run(function: Any) -> Any:
        return partial(lambda function: function(x, key).block_until_ready(), function)

    return {
        "forward": ratios(run(jax.jit(ours)), {"peer": run(jax.jit(peer))})["peer"],
        "both": ratios(run(step(ours)), {"peer": run(step(peer))})["peer"],
        "eager": ratios(run(ours), {"peer": run(peer)})["peer"],
        "relu / ours": ratios(run(jax.jit(ours)), {"relu": run(jax.jit(lambda x, _: jax.nn.relu(x)))})[
            "relu"
        ],
    }


if __name__ == "__main__":
    for size in SIZES:
        print(size, "  ".join(f"{name} {ratio:.2f}" for name, ratio in measure(size).items()), flush=True)
