"""The generators that a run draws from: torch's, NumPy's and Python's, borrowed, saved and put back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

__all__ = ["generator", "one_thread", "pair_seeds", "random_state", "seed_all", "seeded", "set_random_state"]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let torch, NumPy and Python draw the same numbers each time, and go on after as before.

    >>> with seeded(0):
    ...     first = torch.rand(1)
    >>> with seeded(0):
    ...     bool(torch.rand(1) == first)
    True
    """
    before = random_state()
    try:
        seed_all(seed)
        yield
    finally:
        set_random_state(before)


def seed_all(seed: int) -> None:
    """Seed torch, NumPy and Python with one whole number in [0, 2**32)."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def random_state() -> dict[str, Any]:
    """Where the three generators stand: a tensor for torch's, plain data for the others.

    >>> set_random_state(random_state())
    """
    numbers: dict[str, Any] = dict(np.random.get_state(legacy=False))
    numbers["state"] = numbers["state"] | {"key": numbers["state"]["key"].tolist()}
    return {"torch": torch.get_rng_state(), "numpy": numbers, "python": random.getstate()}


def set_random_state(state: dict[str, Any]) -> None:
    """Put the three generators where `random_state` found them."""
    torch.set_rng_state(state["torch"])
    key = np.asarray(state["numpy"]["state"]["key"], dtype=np.uint32)
    np.random.set_state(state["numpy"] | {"state": state["numpy"]["state"] | {"key": key}})
    random.setstate(state["python"])


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread a run: sums come out in the same order for any number of workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def generator(seed: int, *purpose: int) -> torch.Generator:
    """A generator of its own for each purpose that a seed serves.

    >>> draws = [torch.rand(1, generator=generator(0, purpose)) for purpose in (1, 1, 2)]
    >>> bool(draws[0] == draws[1]), bool(draws[0] == draws[2])
    (True, False)
    """
    (state,) = np.random.SeedSequence(seed, spawn_key=purpose).generate_state(1, np.uint64)
    # torch takes 64 bits, of which NumPy's sequence has mixed all.
    return torch.Generator().manual_seed(int(state))


def pair_seeds(seed: int, pair: int) -> tuple[int, int, int, int]:
    """Independent seeds of one pair, for its split, initial weights, data order and dropout."""
    states = np.random.SeedSequence(seed, spawn_key=(pair,)).generate_state(4)
    split, init, order, noise = (int(state) for state in states)
    return split, init, order, noise
