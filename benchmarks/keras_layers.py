"""Keras's Dropout against ours: time of Keras's / time of ours, on the backend of the process.

    KERAS_BACKEND=jax python -m benchmarks.keras_layers

Compiled means `tf.function(jit_compile=True)`, `jax.jit` around a stateless call, and `torch.compile`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

import dropkit.keras
from benchmarks.turns import ratios

SIZES = (2**10, 2**16, 2**20, 2**24)
RATE = 0.1
BACKEND = keras.backend.backend()

Step = Callable[[], Any]


def eager(layer: Any, x: Any) -> Step:
    """A call in training, of which something is read, so that it is done."""
    return lambda: finished(layer(x, training=True))


def finished(y: Any) -> Any:
    """Wait for a result."""
    return y.block_until_ready() if BACKEND == "jax" else y.numpy() if BACKEND == "tensorflow" else y


def compiled(layer: Any, x: Any, backward: bool) -> Step:
    """The forward pass alone, or the gradient of y . x as well."""
    if BACKEND == "jax":
        return _jax(layer, x, backward)
    return _torch(layer, x, backward) if BACKEND == "torch" else _tensorflow(layer, x, backward)


def _jax(layer: Any, x: Any, backward: bool) -> Step:
    import jax

    def forward(x: Any, state: Any) -> Any:
        y, state = layer.stateless_call([], state, x, training=True)
        return ((y * x).sum(), state) if backward else (y, state)

    function: Any = jax.jit(jax.grad(forward, has_aux=True) if backward else forward)
    state = [variable.value for variable in layer.non_trainable_variables]

    def step() -> Any:
        return function(x, state)[0].block_until_ready()

    return step


def _tensorflow(layer: Any, x: Any, backward: bool) -> Step:
    import tensorflow as tf

    @tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # it is untyped
    def function(x: Any) -> Any:
        if not backward:
            return layer(x, training=True)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=True)
        return tape.gradient(y, x, output_gradients=x)

    return lambda: function(x).numpy()


def _torch(layer: Any, x: Any, backward: bool) -> Step:
    import torch

    torch._dynamo.reset()
    x = x.detach().requires_grad_(backward)
    function = torch.compile(lambda x: layer(x, training=True))

    def step() -> Any:
        y = function(x)
        return torch.autograd.grad(y, x, x.detach()) if backward else y

    return step


def measure(size: int) -> dict[str, float]:
    """Return how many times as long as ours Keras's takes: compiled, with its gradient, and eager."""
    x = keras.ops.ones(size)
    ours, own = dropkit.keras.Dropout(RATE, seed=1), keras.layers.Dropout(RATE, seed=1)

    def ratio(make: Callable[[Any], Step]) -> float:
        mine, peer = make(ours), make(own)
        for step in (mine, peer):
            step(), step()
        return ratios(mine, {"peer": peer})["peer"]

    return {
        "forward": ratio(lambda layer: compiled(layer, x, False)),
        "both": ratio(lambda layer: compiled(layer, x, True)),
        "eager": ratio(lambda layer: eager(layer, x)),
    }


if __name__ == "__main__":
    for size in SIZES:
        print(size, "  ".join(f"{name} {ratio:.2f}" for name, ratio in measure(size).items()), flush=True)
