"""Defects for `wrong_methods_test`: each was published, was shipped, or is one keystroke away."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dropkit import Blocks, Drop, Key
from dropkit.core import address, reference
from dropkit.core import rate as rates
from dropkit.core.bind import Window
from dropkit.core.noise import ALPHA
from dropkit.testing import Built, Subject, numpy_subject, subject_of

Array = Any
Decide = Callable[[float, tuple[int, ...], Key], Array]
WHOLE = Window()


ENTRYWISE = numpy_subject(Drop)
CHANNELS = numpy_subject(lambda rate: Drop(rate, "b c h w -> b c"))
BLOCKS = numpy_subject(lambda rate: Drop(rate, Blocks(2, over="h w")))
ALPHAS = numpy_subject(lambda rate: Drop(rate, noise="alpha"))
GAUSSIAN = numpy_subject(lambda rate: Drop(rate, noise="gaussian"))


def own_generator(subject: Subject) -> Subject:
    """The subject without its address: statistics alone have to judge it."""
    return replace(subject, drop=None)


def draws(shape: tuple[int, ...], key: Key) -> Array:
    return address.uniform(np, key.words, 0, int(np.prod(shape))).reshape(shape)


def deciding(decide: Decide, subject: Subject = ENTRYWISE) -> Subject:
    """The subject with decisions of its own; all else is right."""

    def change(built: Built, rate: Any) -> Built:
        def gone(x: Array, key: Key | None) -> Array:
            return decide(float(rate), x.shape, Key.of(key))

        def forward(x: Array, key: Key | None, mode: Any = "train", window: Window = WHOLE) -> Array:
            return x if mode == "eval" else np.where(gone(x, key), 0.0, x / (1 - rate))

        return replace(built, forward=forward, backward=lambda x, grad, key: forward(grad, key))

    return subject.but("wrong", change)


def forwarding(change: Callable[..., Array], subject: Subject = ENTRYWISE) -> Subject:
    """The subject whose forward pass is `change(right, rate, x, key, mode, window)`."""

    def defect(built: Built, rate: Any) -> Built:
        def forward(x: Array, key: Key | None, mode: Any = "train", window: Window = WHOLE) -> Array:
            return change(built.forward, rate, x, key, mode, window)

        return replace(built, forward=forward)

    return subject.but("wrong", defect)


def backwarding(change: Callable[..., Array], subject: Subject = ENTRYWISE) -> Subject:
    """The subject whose backward pass is `change(right, rate, x, grad, key)`."""

    def defect(built: Built, rate: Any) -> Built:
        return replace(built, backward=lambda x, grad, key: change(built.backward, rate, x, grad, key))

    return subject.but("wrong", defect)


# Rates


def below(threshold: int, shape: tuple[int, ...], key: Key) -> Array:
    return draws(shape, key) < threshold


def three_percent(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(rates.threshold(1.03 * rate, np), shape, key)


def at_most(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return draws(shape, key) <= rates.threshold(rate, np)


def high_half_alone(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return draws(shape, key) >> 16 < rates.threshold(rate, np) >> 16


def eight_bits(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return draws(shape, key) >> 24 < round(rate * 256)


def single_precision(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(int(np.float32(rate) * np.float32(2**32)), shape, key)


def seeds_within_the_map(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    """No margin: the first row and the first column lie in fewer blocks."""
    seeds = np.pad(below(rates.threshold(rates.root(rate, 4, np), np), shape, key), [(0, 0), (1, 0), (1, 0)])
    windows = [seeds[:, i : i + shape[1], j : j + shape[2]] for i, j in itertools.product(range(2), range(2))]
    return functools.reduce(operator.or_, windows)


def first_order(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    """The published rate of seeds, which forgets that blocks overlap."""
    published = Drop(rate, Blocks(2, over="h w", published=True))
    return reference.mask(key, shape, published) == 0


# Dependence


def neighbours_share(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return np.repeat(below(rates.threshold(rate, np), shape, key), 2, axis=-1)[..., : shape[-1]]


def four_channels_share(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    """pytorch #198333: marginal rates are right."""
    coins = np.repeat(below(rates.threshold(rate, np), shape[:2], key), 4, axis=1)[:, : shape[1]]
    return np.broadcast_to(coins[:, :, None, None], shape)


def distant_channels_share(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    coins = below(rates.threshold(rate, np), shape, key)
    return np.where(np.arange(shape[-1]) >= 32, np.roll(coins, 32, axis=-1), coins)


def seeds_added(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    """Seed and group number are summed, so that seed 1 repeats seed 0 from its second group on."""
    start = (key.word + key.call) % 2**40
    u = address.uniform(np, address.Words(0, 0, key.stream), start, int(np.prod(shape)))
    return u.reshape(shape) < rates.threshold(rate, np)


def layers_share(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(rates.threshold(rate, np), shape, Key(key.word))


def every_entry_its_own(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(rates.threshold(rate, np), shape, key)


# Keys


def key_ignored(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(rates.threshold(rate, np), shape, Key(0))


def batch_size_in_key(rate: float, shape: tuple[int, ...], key: Key) -> Array:
    return below(rates.threshold(rate, np), shape, Key(key.word ^ shape[0], key.call, key.stream))


def frozen(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return forward(x, Key(0) if key is None else key, mode, window)


def counting() -> Subject:
    """A call counter of its own goes into the key."""
    calls = itertools.count()

    def forward(right: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
        return right(x, None if key is None else key.fold("call", next(calls)), mode, window)

    return forwarding(forward)


def memory_order(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    if x.flags.c_contiguous or not x.flags.f_contiguous:
        return forward(x, key, mode, window)
    return forward(x.T, key, mode).T


def window_ignored(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return forward(x, key, mode)


def type_lost(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return forward(x.astype(np.float64), key, mode, window)


# Values


def shrinking(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    """The article's slip, the other way round: kept entries are multiplied by 1 - rate."""
    y = forward(x, key, mode, window)
    return y if y is x else y * (1 - rate) ** 2


def without_offset(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    y = forward(x, key, mode, window)
    return y if y is x else y - forward(np.zeros_like(x), None, mode, window).max()


def alpha_to_zero(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    """A dropped entry goes to 0 instead of SELU's floor, as in plain dropout."""
    y = forward(x, key, mode, window)
    if y is x or rate == 1:
        return y
    a = ((1 - rate) * (1 + rate * ALPHA**2)) ** -0.5
    return np.where(np.isclose(y, a * ALPHA * (1 - rate)), 0.0, y)


def wide_gaussian(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    """The variance is 5 % too large."""
    y = forward(x, key, mode, window)
    return y if y is x else x + 1.05**0.5 * (y - x)


def other_law(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    """Mean and variance are right, but the factor is uniform."""
    if mode == "eval":
        return x
    uniform = Drop(float(rate), noise="uniform")
    return reference.apply(x, uniform, key)


def multiplied(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    with np.errstate(invalid="ignore"):
        return x if mode == "eval" else x * forward(np.ones_like(x), key, mode, window)


def divided(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    if mode == "eval" or rate < 1:
        return forward(x, key, mode, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.zeros_like(x) / np.float64(1 - rate)


# Modes and state


def shrinking_eval(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return x * (1 - rate) if mode == "eval" else forward(x, key, mode, window)


def copying_eval(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return x.copy() if mode == "eval" else forward(x, key, mode, window)


def sleeping_mc(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Window) -> Array:
    return forward(x, key, "eval" if mode == "mc" else mode, window)


def remembering() -> Subject:
    """An eval call leaves a trace."""
    seen: list[int] = []

    def defect(built: Built, rate: Any) -> Built:
        def forward(x: Array, key: Key | None, mode: Any = "train", window: Window = WHOLE) -> Array:
            seen.append(x.size)
            return built.forward(x, key, mode, window)

        return Built(forward, built.backward, lambda: tuple(seen))

    return ENTRYWISE.but("wrong", defect)


def batch_norm(mc: Callable[[torch.nn.Module], Any]) -> Subject:
    """A network with BatchNorm, brought into Monte Carlo mode by `mc`."""

    def build(drop: Drop) -> Built:
        model = torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Dropout(drop.rate)).double().eval()

        def forward(x: Array, key: Key | None, mode: Any = "train", window: Window = WHOLE) -> Array:
            if mode == "train":
                return x
            with torch.no_grad(), mc(model) if mode == "mc" else torch.no_grad():
                return model(torch.from_numpy(x)[:, None]).numpy()[:, 0]

        return Built(
            forward, lambda x, grad, key: grad, lambda: [t.tolist() for t in model.state_dict().values()]
        )

    return subject_of("batch norm", Drop, build)


class train_the_whole_model:  # noqa: N801 - it stands where a function of contextlib would
    """The recipe of many blog posts: `model.train()` for Monte Carlo passes."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.model.train()

    def __exit__(self, *_: object) -> None:
        self.model.eval()


def a_step_late() -> Subject:
    def build(rate: Any, step: int = 0) -> Built:
        return ENTRYWISE.at(rate, max(step - 1, 0))

    return replace(ENTRYWISE, build=build)


class Rounding(Drop):
    """Its JSON keeps two digits of the rate."""

    def to_json(self) -> str:
        return replace(self, rate=round(self.rate, 2)).text()

    def text(self) -> str:
        return super().to_json()


# Gradients


def unscaled(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    return backward(x, grad, key) * (1 - rate)


def redrawn(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    return backward(x, grad, key.fold("backward"))


def offset_in_gradient(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    return reference.apply(grad, Drop(float(rate), noise="alpha"), key)


def straight_through(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    return grad
