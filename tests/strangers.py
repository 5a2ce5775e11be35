"""Strangers for `wrong_methods_test`: methods with a generator of their own, which no twin and no threshold
judges, and torch modules that know nothing of dropkit. Each defect is one that statistics alone can find, or
that sits at one rate or in one type only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dropkit import Blocks, Drop, Key
from dropkit.core import reference
from dropkit.core.schedule import Linear, Schedule
from dropkit.testing import Built, Declared, Shapes, Subject, module_subject
from dropkit.testing.exam import RATES

_TAPE = np.random.default_rng(7).random(2**16)

Array = Any
Gone = Callable[[float, Array, np.random.Generator], Array]
Factor = Callable[[float, Array], float]


def fair(rate: float, x: Array, rng: np.random.Generator) -> Array:
    return rng.random(x.shape) < rate


def inverted(rate: float, x: Array) -> float:
    return 1 / (1 - rate) if rate < 1 else 0.0


def unscaled(rate: float, x: Array) -> float:
    return 1.0


def identity(rate: float, x: Array) -> Array:
    return x


def stranger(
    gone: Gone = fair,
    factor: Factor = inverted,
    back: Factor | None = None,
    evaluated: Callable[[float, Array], Array] = identity,
    late: int = 0,
    stale: int = 0,
) -> Subject:
    """Entrywise dropout from NumPy's generator; along a ramp its draws may be late and its scale stale."""

    def build(rate: Any, step: int) -> Built:
        now, scaled = _rate(rate, step, late), _rate(rate, step, stale)

        def through(x: Array, mask_of: Array, key: Key | None, scale: Factor) -> Array:
            rng = np.random.default_rng(None if key is None else [*key.words])
            return np.where(gone(now, mask_of, rng), x.dtype.type(0), x * scale(scaled, x))

        def forward(x: Array, key: Key | None, mode: str = "train", window: Any = None) -> Array:
            return evaluated(now, x) if mode == "eval" else through(x, x, key, factor)

        return Built(forward, lambda x, grad, key: through(grad, x, key, back or factor))

    def declare(rate: float, shape: tuple[int, ...]) -> Declared:
        return Declared(rate, shape, (1, 1), scale=1.0 if factor is unscaled else inverted(rate, 0))

    return Subject("stranger", build, declare, Shapes((23, 23), ((66, 4), (4, 66))), windows=False)


def _rate(rate: Any, step: int, behind: int) -> float:
    return float(
        rate(max(step - behind * isinstance(rate, Linear), 0)) if isinstance(rate, Schedule) else rate
    )


STRANGER = stranger()
ONE_COIN = replace(
    stranger(lambda rate, x, rng: np.full(x.shape, rng.random() < rate)),
    declare=lambda rate, shape: Declared(rate, shape, (0,), scale=inverted(rate, 0)),
    shapes=Shapes((2,), ()),
)
UNSCALED = replace(stranger(factor=unscaled), waived={"mean": "it has no scale"})


# Rates


def rate_off(error: float, *at: float) -> Subject:
    """The rate is off by this share of itself, at some rates alone."""
    return stranger(lambda rate, x, rng: fair(rate * (1 + error * (rate in at)), x, rng))


def only_listed_rates() -> Subject:
    """Who knows the list of examined rates is right there, and 20 % off elsewhere."""
    listed = (*RATES, 0.0, 1.0)
    return stranger(lambda rate, x, rng: fair(rate * (1 if rate in listed else 0.8), x, rng))


# Dependence


def exactly_k_of_n(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """Marginal rates are right, also where rate times n is no whole number; the count has no variance."""
    k = math.floor(rate * x.size + rng.random())
    return (rng.permutation(x.size) < k).reshape(x.shape)


def falling_together(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """Each call has a rate of its own, a few percent up or down: pairs of one call hardly notice."""
    return fair(rate * (1 + rng.choice([-0.1, 0.1]) * (rate < 0.9)), x, rng)


def short_period(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """The generator repeats itself after 2**16 numbers: two calls often walk the same stretch."""
    places = np.arange(x.size) + rng.integers(_TAPE.size)
    return (np.take(_TAPE, places, mode="wrap") < rate).reshape(x.shape)


def neighbours_share_at_03(rate: float, x: Array, rng: np.random.Generator) -> Array:
    coins = fair(rate, x, rng)
    return np.repeat(coins, 2, axis=-1)[..., : x.shape[-1]] if rate == 0.3 else coins


def tiled(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """A buffer of 16,384 numbers is drawn once a call, and read again from its start."""
    return np.resize(rng.random(16_384) < rate, x.shape)


def period(calls: int, subject: Subject = STRANGER) -> Subject:
    """The number of the call is kept modulo this: training repeats its masks."""
    return keyed(lambda key: replace(key, call=key.call % calls), subject)


def keyed(change: Callable[[Key], Key], subject: Subject = STRANGER) -> Subject:
    """The subject under keys that are changed on the way, forward and backward."""

    def defect(built: Built, rate: Any) -> Built:
        def forward(x: Array, key: Key | None, mode: Any = "train", window: Any = None) -> Array:
            return built.forward(x, None if key is None else change(key), mode)

        return replace(
            built, forward=forward, backward=lambda x, grad, key: built.backward(x, grad, change(key))
        )

    return subject.but("wrong", defect)


# Arrays: each takes what `defects.forwarding` or `defects.backwarding` hands on


def writing(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Any) -> Array:
    """The result is written into the array of the caller, in training."""
    if mode != "eval":
        x[...] = forward(x, key, mode)
    return x


def writing_columns(forward: Any, rate: Any, x: Array, key: Key | None, mode: Any, window: Any) -> Array:
    """It is so where the array does not lie row by row, for which there is a path of its own."""
    return forward(x, key, mode) if x.flags.c_contiguous else writing(forward, rate, x, key, mode, window)


def writing_back(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    grad[...] = backward(x, grad, key)
    return grad


def image_tells(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """What came out as 0 is taken for dropped: behind a ReLU half of the gradient is lost."""
    y = STRANGER.at(rate).forward(x, key)
    return np.where(y != 0, backward(x, grad, key), grad.dtype.type(0))


def floor_tells(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """The same of alpha dropout: what came out as SELU's floor is taken for dropped."""
    y = reference.apply(x, Drop(float(rate), noise="alpha"), key)
    return np.where(
        y != Declared.of(Drop(float(rate), noise="alpha"), x.shape).fill, backward(x, grad, key), 0
    )


def columns_first(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """The mask is drawn again in the order in which the gradient lies in memory."""
    if grad.flags.c_contiguous or not grad.flags.f_contiguous:
        return backward(x, grad, key)
    return backward(x.T, grad.T, key).T


def columns_of_x_first(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    return columns_first(lambda grad, x, key: backward(x, grad, key), rate, grad, x, key)


def gaps_counted(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """The mask is drawn for the memory that the gradient spans, gaps included."""
    if grad.strides[-1] != 2 * grad.itemsize:
        return backward(x, grad, key)
    return np.repeat(backward(x, grad, key), 2, axis=-1)[..., : grad.shape[-1]]


def read_from_the_start(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """A gradient that lies backwards in memory is read forwards."""
    return backward(x, grad, key) if grad.strides[0] >= 0 else backward(x, grad[::-1], key)[::-1]


def wide_mask_back(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    """The mask is drawn again in double precision, although other types draw another."""
    return np.where(fair(rate, x, np.random.default_rng([*key.words])), 0, grad * inverted(rate, x)).astype(
        grad.dtype
    )


def multiplied_back(backward: Any, rate: Any, x: Array, grad: Array, key: Key) -> Array:
    with np.errstate(invalid="ignore"):
        return grad * backward(x, np.ones_like(grad), key)


def by_type(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """Every type has draws of its own: not the mask of another type, but one that the gradient shares."""
    rng.random(x.itemsize)
    return fair(rate, x, rng)


# Values and gradients


def doubled_at_07(rate: float, x: Array) -> float:
    return inverted(rate, x) * (2 if rate == 0.7 else 1)


def unscaled_at_05(rate: float, x: Array) -> float:
    return 1.0 if rate == 0.5 else inverted(rate, x)


def unscaled_in_float16(rate: float, x: Array) -> float:
    return 1.0 if x.dtype == np.float16 else inverted(rate, x)


def shrinking_at_07(rate: float, x: Array) -> Array:
    return x * (1 - rate) if rate == 0.7 else x


def shrinking_in_float32(rate: float, x: Array) -> Array:
    return x * x.dtype.type(1 - rate) if x.dtype == np.float32 else x


def sparing_the_large(rate: float, x: Array, rng: np.random.Generator) -> Array:
    """What is large is never dropped: arrays of ones do not show it."""
    return fair(rate, x, rng) & (abs(x) < 2.5)


# Modules


class UnscaledDropPath(torch.nn.Module):
    """Stochastic depth as many repositories have it: kept branches are not divided by 1 - rate."""

    scaled = False

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        kept = torch.rand(shape) >= self.rate
        return torch.where(kept, x / (1 - self.rate) if self.scaled and self.rate < 1 else x, 0.0)


class ScaledDropPath(UnscaledDropPath):
    """The same with its scale."""

    scaled = True


class FirstOrderDropBlock(torch.nn.Module):
    """DropBlock with the published seed rate p / size**2, which forgets that blocks overlap."""

    def __init__(self, rate: float, size: int = 3) -> None:
        super().__init__()
        self.rate, self.size = rate, size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate in (0, 1):
            return x * (1 - self.rate) if self.training else x
        seeds = self.seeds(x).double()
        gone = torch.nn.functional.max_pool2d(seeds, self.size, stride=1) > 0
        return torch.where(gone, 0.0, x / (1 - self.rate))

    def gamma(self) -> float:
        return self.rate / self.size**2

    def seeds(self, x: torch.Tensor) -> torch.Tensor:
        b, c, h, w = x.shape
        return torch.rand(b, c, h + self.size - 1, w + self.size - 1) < self.gamma()


class ExactDropBlock(FirstOrderDropBlock):
    """The same with the seed rate under which every entry is dropped with the rate that is written."""

    def gamma(self) -> float:
        return -math.expm1(math.log1p(-self.rate) / self.size**2)


class _FromImage(torch.autograd.Function):
    """An operator whose backward pass takes what came out as 0 for dropped."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
        y = torch.where(kept, x * scale, 0.0)
        ctx.scale = scale
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> Any:
        (y,) = ctx.saved_tensors
        return torch.where(y != 0, grad * ctx.scale, 0.0), None, None


class _FromMask(_FromImage):
    """The same, which keeps the mask."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.scale = scale
        ctx.save_for_backward(kept)
        return torch.where(kept, x * scale, 0.0)


class OwnOperator(torch.nn.Module):
    """Dropout through an operator of its own; draws do not depend on type or layout."""

    operator: type[torch.autograd.Function] = _FromMask

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        kept = torch.rand(x.shape, dtype=torch.float64) >= self.rate
        y: torch.Tensor = self.operator.apply(x, kept, inverted(self.rate, x))  # type: ignore[no-untyped-call]  # torch says no types
        return y


class OperatorFromImage(OwnOperator):
    operator = _FromImage


class LikeItsInput(OwnOperator):
    """`torch.rand_like`: every type and every layout has a mask of its own, forward and backward alike."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = torch.rand_like(x) >= self.rate
        return torch.where(kept, x * inverted(self.rate, x), 0.0) if self.training else x


def operator(make: Callable[[float], torch.nn.Module]) -> Subject:
    return module_subject(make, "own operator", "b t -> b t")


def path(make: Callable[[float], torch.nn.Module]) -> Subject:
    return module_subject(make, "stochastic depth", "b ... -> b")


def blocks(make: Callable[[float], torch.nn.Module]) -> Subject:
    groups = Blocks(3, over="h w", pattern="b c h w -> b c h w")
    return module_subject(make, "blocks", lambda rate: Drop(rate, groups))
