"""Dropout as the other frameworks do it at their best: compiled, on the CPU, with as many threads as we."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from benchmarks.turns import Work

__all__ = ["PEERS", "Peer", "step"]

Tensor = torch.Tensor


class Peer(NamedTuple):
    """Work of a framework on as many entries: dropout forward, and forward with backward."""

    forward: Work
    training: Work


def step(function: Callable[[Tensor], Tensor], x: Tensor, gradient: Tensor) -> Work:
    """Return forward and backward of a function of one tensor."""
    return lambda: torch.autograd.grad(function(x), x, gradient)


def torch_compile(size: int, rate: float, dtype: torch.dtype) -> Peer:
    """Return F.dropout as Inductor compiles it for this size."""
    # The code is compiled for the number of threads that is set while it is compiled.
    torch.compiler.reset()
    compiled = torch.compile(lambda x: F.dropout(x, rate), dynamic=False)
    x = torch.randn(size).to(dtype)
    leaf = x.clone().requires_grad_()
    return Peer(lambda: compiled(x), step(compiled, leaf, torch.ones_like(x)))


def jax(size: int, rate: float, dtype: torch.dtype) -> Peer:
    """Return what flax's dropout does, under jit."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    j: Any = importlib.import_module("jax")

    j.config.update("jax_enable_x64", True)  # or float64 would be measured as float32

    def drop(key: Any, x: Any) -> Any:
        return j.numpy.where(j.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)

    def train(key: Any, x: Any, gradient: Any) -> Any:
        y, back = j.vjp(functools.partial(drop, key), x)
        return y, back(gradient)

    key = j.random.key(0)
    x = j.numpy.ones(size, str(dtype).removeprefix("torch."))
    forward, training = j.jit(drop), j.jit(train)
    return Peer(lambda: forward(key, x).block_until_ready(), lambda: j.block_until_ready(training(key, x, x)))


def tensorflow(size: int, rate: float, dtype: torch.dtype) -> Peer:
    """Return tf.nn.dropout in a tf.function."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tf: Any = importlib.import_module("tensorflow")

    x = tf.ones(size, getattr(tf, str(dtype).removeprefix("torch.")))

    def train(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.dropout(x, rate)
        return y, tape.gradient(y, x)

    forward, training = tf.function(lambda x: tf.nn.dropout(x, rate)), tf.function(train)
    return Peer(lambda: forward(x), lambda: training(x))


_NEEDED = {
    "torch.compile": ("torch", torch_compile),
    "JAX": ("jax", jax),
    "TensorFlow": ("tensorflow", tensorflow),
}
# Those that are installed.
PEERS: dict[str, Callable[[int, float, torch.dtype], Peer]] = {
    name: make for name, (package, make) in _NEEDED.items() if importlib.util.find_spec(package)
}
