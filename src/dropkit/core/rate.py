"""The rate: the probability that an entry is dropped, one number or one for each place, depth or step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dropkit.core.check import RATE, DropkitError, Interval, Whole, check_each, check_kind, suggest
from dropkit.core.schedule import SCHEDULES, Schedule

__all__ = [
    "ONE",
    "Learned",
    "PerAxis",
    "Rate",
    "check",
    "depth_rates",
    "from_json",
    "root",
    "threshold",
    "to_json",
]

ONE = 2**32
"""The threshold of rate 1: every u lies below it. A 32-bit word cannot hold it: there it is a flag."""

_DEPTH = Whole(1, "give the number of layers, e.g. 12")


@dataclass(frozen=True)
class PerAxis:
    """One rate for each place along an axis that has coins of its own, e.g. a rate for each channel.

    >>> PerAxis((0.1, 0.5), over="c").rates
    (0.1, 0.5)
    """

    rates: tuple[float, ...]
    over: str

    def __post_init__(self) -> None:
        rates = check_each("rates", self.rates, RATE)
        if not rates:
            raise DropkitError("rates", "has one rate for each place", self.rates, "give at least one")
        check_kind("over", self.over, str, "name an axis with coins of its own, e.g. 'c'")
        object.__setattr__(self, "rates", rates)


@dataclass(frozen=True)
class Learned:
    """A rate that training moves, kept as its logit; declared here, learned by the layers that say how.

    These are `dropkit.torch.ConcreteDropout`, `VariationalDropout`, `VariationalLinear` and
    `InformationDropout`, which take the start as their own argument; every other layer refuses it.

    >>> Learned(0.1).start
    0.1
    """

    start: float = 0.1

    def __post_init__(self) -> None:
        between = Interval(0, 1, "begin e.g. at 0.1", open_low=True, open_high=True)
        object.__setattr__(self, "start", between.check("start", self.start))


Rate = float | PerAxis | Schedule | Learned


def depth_rates(rate: float, depth: int) -> tuple[float, ...]:
    """Return one rate a layer, growing linearly with depth: rate * l / depth for l = 1 ... depth.

    The linear decay rule of Huang et al. 2016, written as the probability of being dropped.

    >>> depth_rates(0.5, 4)
    (0.125, 0.25, 0.375, 0.5)
    """
    rate, depth = RATE.check("rate", rate), _DEPTH.check("depth", depth)
    return tuple(rate * (layer + 1) / depth for layer in range(depth))


def check(rate: Any, argument: str = "rate") -> Rate:
    """Return the rate if it is a number in [0, 1] or one of the kinds of rate; else raise `DropkitError`.

    >>> check(1)
    1.0
    """
    return rate if isinstance(rate, PerAxis | Schedule | Learned) else RATE.check(argument, rate)


def threshold(rate: Any, xp: Any) -> Any:
    """Return the whole number that u must lie below to be dropped: round(rate * 2**32), half to even.

    Only a rate of exactly 1 reaches 2**32: what rounds up to it is clamped to 2**32 - 1.

    >>> import numpy
    >>> threshold(0.5, numpy), threshold(1.0, numpy), threshold(1 - 1e-12, numpy)
    (2147483648, 4294967296, 4294967295)
    """
    if isinstance(rate, float | int):
        return ONE if rate == 1 else min(round(rate * ONE), ONE - 1)
    words = xp.clip(xp.round(rate * ONE), 0, ONE - 1)
    return xp.where(rate == 1, float(ONE), words)


def root(rate: Any, n: int, xp: Any) -> Any:
    """Return 1 - (1 - rate)**(1 / n): the rate at which n independent coins together reach `rate`.

    >>> import numpy
    >>> root(0.75, 2, numpy)
    0.5
    """
    if isinstance(rate, float | int):
        return 1.0 if rate == 1 else -math.expm1(math.log1p(-rate) / n)
    return -xp.expm1(xp.log1p(-rate) / n)


def to_json(rate: Rate | None) -> Any:
    """Return the rate as plain data: a number, or an object that names its kind."""
    match rate:
        case PerAxis():
            return {"kind": "per_axis", "rates": list(rate.rates), "over": rate.over}
        case Learned():
            return {"kind": "learned", "start": rate.start}
        case Schedule():
            return {"kind": rate.kind} | vars(rate)
        case _:
            return rate


def from_json(data: Any) -> Rate | None:
    """Return the rate that `to_json` wrote.

    >>> from dropkit.core.schedule import Early
    >>> from_json(to_json(Early(0.1, 50)))
    Early(rate=0.1, steps=50)
    """
    if not isinstance(data, Mapping):
        return data if data is None else check(data)
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind == "per_axis":
        return PerAxis(tuple(fields["rates"]), fields["over"])
    kinds: dict[str, Any] = {**SCHEDULES, "learned": Learned}
    if kind not in kinds:
        raise DropkitError("rate", "has a known kind", kind, suggest(kind, kinds))
    rate: Rate = kinds[kind](**fields)
    return rate
