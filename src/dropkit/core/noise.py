"""What a draw does to an entry: y = m(u) x + b(u), with a declared mean and variance.

A rate of exactly 1 drops every entry to zero (to `fill` where a call gives one), whatever the noise, without
a division by zero on the way. Formulas are written with operators alone, so that rates may be numbers or
arrays.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from dropkit.core.check import DropkitError, OneOf
from dropkit.core.mode import Scale

__all__ = [
    "ALPHA",
    "Affine",
    "Alpha",
    "Bernoulli",
    "Continuous",
    "Gaussian",
    "Noise",
    "TwoPoint",
    "Uniform",
    "get",
]

ALPHA = -1.7580993408473766
"""Where SELU saturates: -lambda alpha of Klambauer et al. 2017."""

_WORD = 2.0**32
_HALF = np.uint32(2**31)


class Affine(NamedTuple):
    """What a decision does: a kept entry becomes scale * x + shift, a dropped one becomes `fill`."""

    scale: Any
    shift: Any
    fill: Any


class Moments(NamedTuple):
    """Mean and variance of the factor m."""

    mean: Any
    variance: Any


class Noise(ABC):
    """A law for the factor m and the offset b of an entry."""

    name: ClassVar[str]
    scales: ClassVar[tuple[Scale, ...]]

    def check_scale(self, scale: Scale) -> None:
        """Refuse a scale that would change nothing under this noise."""
        if scale not in self.scales:
            mend = f"{self.name} keeps its own moments; leave scale at 'train'"
            raise DropkitError("scale", OneOf(self.scales).rule + f" for noise {self.name!r}", scale, mend)

    @abstractmethod
    def moments(self, rate: Any, scale: Scale = "train") -> Moments:
        """Return the declared mean and variance of m."""

    @abstractmethod
    def eval_factor(self, rate: Any, scale: Scale = "train") -> Any:
        """Return the factor of the eval map; 1.0 where the map is the identity."""


class TwoPoint(Noise):
    """A noise that keeps an entry or drops it: an integer comparison, equal bit for bit everywhere."""

    @abstractmethod
    def affine(self, rate: Any, scale: Scale = "train") -> Affine:
        """Return what a decision does."""

    def moments(self, rate: Any, scale: Scale = "train") -> Moments:
        """The factor is `scale` with probability 1 - rate, else 0."""
        kept = self.affine(rate, scale).scale
        return Moments(kept * (1 - rate), kept * kept * rate * (1 - rate))


class Continuous(Noise):
    """A noise without an atom at zero: m has mean 1 and variance rate / (1 - rate), like inverted dropout."""

    scales: ClassVar[tuple[Scale, ...]] = ("train",)

    @abstractmethod
    def standard(self, xp: Any, u: Any, second: Callable[[], Any]) -> Any:
        """Return draws of mean 0 and variance 1 from whole numbers below 2**32."""

    def factor(self, xp: Any, u: Any, second: Callable[[], Any], rate: Any) -> Any:
        """Return m, in float64."""
        # At rate 1 a product with 0 would have either sign, a sum with 0 has one.
        mean = 1 - _sure(rate)
        return mean + (rate / _kept(rate)) ** 0.5 * mean * self.standard(xp, u, second)

    def moments(self, rate: Any, scale: Scale = "train") -> Moments:
        """Mean 1 and variance rate / (1 - rate); 0 and 0 at rate 1."""
        return Moments(1.0 - _sure(rate), rate / _kept(rate) * (1 - _sure(rate)))

    def eval_factor(self, rate: Any, scale: Scale = "train") -> float:
        """The identity."""
        return 1.0


@dataclass(frozen=True)
class Bernoulli(TwoPoint):
    """m = 0 with probability rate, else 1 / (1 - rate) (scale "train") or 1 (Srivastava et al. 2014).

    >>> Bernoulli().affine(0.5)
    Affine(scale=2.0, shift=0.0, fill=0.0)
    """

    name: ClassVar[str] = "bernoulli"
    scales: ClassVar[tuple[Scale, ...]] = ("train", "eval", "none")

    def affine(self, rate: Any, scale: Scale = "train") -> Affine:
        """Return what a decision does."""
        return Affine(1 / _kept(rate) if scale == "train" else 1.0, 0.0, 0.0)

    def eval_factor(self, rate: Any, scale: Scale = "train") -> Any:
        """Return 1 - rate for scale "eval", else 1."""
        return 1 - rate if scale == "eval" else 1.0


@dataclass(frozen=True)
class Alpha(TwoPoint):
    """A dropped entry goes to SELU's floor; a x + b restores mean 0, variance 1 (Klambauer et al. 2017).

    a = ((1 - rate) (1 + rate ALPHA**2))**(-1/2), b = -a rate ALPHA.

    >>> tuple(round(number, 4) for number in Alpha().affine(0.5))
    (0.8864, 0.7792, -0.7792)
    """

    name: ClassVar[str] = "alpha"
    scales: ClassVar[tuple[Scale, ...]] = ("train",)

    def affine(self, rate: Any, scale: Scale = "train") -> Affine:
        """Return what a decision does."""
        a = 1 / ((1 - rate) * (1 + rate * ALPHA**2) + _sure(rate)) ** 0.5
        b = -a * rate * ALPHA * (1 - _sure(rate))
        return Affine(a, b, (a * ALPHA + b) * (1 - _sure(rate)))

    def eval_factor(self, rate: Any, scale: Scale = "train") -> float:
        """Return 1: the eval map is the identity."""
        return 1.0


@dataclass(frozen=True)
class Gaussian(Continuous):
    """m = 1 + sqrt(rate / (1 - rate)) z with z standard normal (Srivastava et al. 2014).

    z = sqrt(-2 log u1) cos(2 pi u2), where u1 = (u + 1/2) / 2**32 is never 0 and u2 = second / 2**32.

    >>> Gaussian().moments(0.5)
    Moments(mean=1.0, variance=1.0)
    """

    name: ClassVar[str] = "gaussian"

    def standard(self, xp: Any, u: Any, second: Callable[[], Any]) -> Any:
        """Return draws of mean 0 and variance 1."""
        if _narrow(u):
            return xp.sqrt(-2 * _log_unit(xp, u)) * xp.cos(2 * math.pi / _WORD * _signed(xp, second()))
        return xp.sqrt(-2 * xp.log(_unit(xp, u) + 0.5 / _WORD)) * xp.cos(2 * math.pi * _unit(xp, second()))


@dataclass(frozen=True)
class Uniform(Continuous):
    """m is uniform with mean 1 and variance rate / (1 - rate) (continuous dropout, Shen et al. 2019).

    z = sqrt(3) (2 u1 - 1), where u1 = (u + 1/2) / 2**32.

    >>> Uniform().moments(0.2)
    Moments(mean=1.0, variance=0.25)
    """

    name: ClassVar[str] = "uniform"

    def standard(self, xp: Any, u: Any, second: Callable[[], Any]) -> Any:
        """Return draws of mean 0 and variance 1."""
        if _narrow(u):
            return 2 * math.sqrt(3) / _WORD * (_signed(xp, u ^ _HALF) + 0.5)
        return math.sqrt(3) * (2 * (_unit(xp, u) + 0.5 / _WORD) - 1)


_NOISES: dict[str, Noise] = {noise.name: noise for noise in (Bernoulli(), Alpha(), Gaussian(), Uniform())}


def get(noise: str | Noise) -> Noise:
    """Return a noise by name, or the noise itself.

    Raises:
        DropkitError: no noise is called so; the message says which was probably meant.

    >>> get("alpha")
    Alpha()
    """
    return noise if isinstance(noise, Noise) else _NOISES[OneOf(tuple(_NOISES)).check("noise", noise)]


def _unit(xp: Any, word: Any) -> Any:
    """Return word / 2**32 in float64, whatever type the framework would have chosen."""
    return xp.asarray(word, dtype=xp.float64, device=word.device) / _WORD


def _narrow(word: Any) -> bool:
    """Whether draws are words of 32 bits: they come from a framework without float64."""
    return str(word.dtype).endswith("uint32")


def _log_unit(xp: Any, u: Any) -> Any:
    """Return log((u + 1/2) / 2**32) with a relative error of a few 2**-24 at both ends of the range."""
    low = xp.log(u.astype(xp.float32) + 0.5) - 32 * math.log(2)
    high = xp.log1p(-((~u).astype(xp.float32) + 0.5) / _WORD)
    return xp.where(u < _HALF, low, high)


def _signed(xp: Any, word: Any) -> Any:
    """Return a word, less 2**32 in its upper half, in float32: what is near to 0 keeps its digits."""
    return word.astype(xp.int32).astype(xp.float32)


def _sure(rate: Any) -> Any:
    """Return 1 where the rate is 1, else 0: with an operator that arrays of all frameworks have."""
    return rate // 1


def _kept(rate: Any) -> Any:
    """Return 1 - rate, and 1 where that is 0: there the quotient is not used."""
    return 1 - rate + _sure(rate)
