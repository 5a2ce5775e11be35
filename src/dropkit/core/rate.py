"""The rate: the probability that an entry is dropped, and how it moves over steps, depth and channels."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dropkit.core.check import RATE, DropkitError, Interval, Whole, check_each, check_kind, suggest

__all__ = [
    "ONE",
    "Constant",
    "Cosine",
    "Curriculum",
    "Early",
    "Late",
    "Learned",
    "Linear",
    "PerAxis",
    "Ramp",
    "Rate",
    "Schedule",
    "Valley",
    "check",
    "constant_schedule",
    "cosine_schedule",
    "curriculum_schedule",
    "depth_rates",
    "early_schedule",
    "from_json",
    "late_schedule",
    "linear_schedule",
    "ramp_schedule",
    "root",
    "threshold",
    "to_json",
    "valley_schedule",
]

ONE = 2**32
"""The threshold of rate 1: every u lies below it. A 32-bit word cannot hold it: there it is a flag."""

_STEPS = Whole(1, "give a number of optimizer steps, e.g. 1000")
_STEP = Whole(0, "give the number of optimizer steps taken so far")
_GAMMA = Interval(0, math.inf, "give a speed a step, e.g. 10 / steps", open_low=True, open_high=True)
_RAMP = 0.95  # of the end, over the first half
_DEPTH = Whole(1, "give the number of layers, e.g. 12")


class Schedule(ABC):
    """A rate that moves over optimizer steps: `rate(step)`, frozen, without a state of its own."""

    kind: ClassVar[str]

    @abstractmethod
    def at(self, step: int) -> float:
        """Return the rate at a step that is known to be a whole number."""

    def __call__(self, step: int) -> float:
        """Return the rate once `step` optimizer steps are taken, in [0, 1]."""
        return self.at(_STEP.check("step", step))


@dataclass(frozen=True)
class Constant(Schedule):
    """rate(step) = rate.

    >>> Constant(0.1)(500)
    0.1
    """

    kind: ClassVar[str] = "constant"
    rate: float

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        return self.rate


@dataclass(frozen=True)
class Linear(Schedule):
    """rate(step) = start + (end - start) min(step / steps, 1).

    Annealed dropout (Rennie et al. 2014) has end = 0.

    >>> Linear(0.0, 0.3, 1000)(500)
    0.15
    """

    kind: ClassVar[str] = "linear"
    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        done = min(step / self.steps, 1.0)
        return self.start * (1 - done) + self.end * done


@dataclass(frozen=True)
class Cosine(Schedule):
    """rate(step) = end + (start - end) (1 + cos(pi min(step / steps, 1))) / 2.

    >>> Cosine(0.0, 0.4, 1000)(500)
    0.2
    """

    kind: ClassVar[str] = "cosine"
    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        left = (1 + math.cos(math.pi * min(step / self.steps, 1.0))) / 2
        return self.start * left + self.end * (1 - left)


@dataclass(frozen=True)
class Early(Schedule):
    """rate(step) = rate while step < steps, then 0 (early dropout, Liu et al. 2023, against underfitting).

    >>> [Early(0.1, 50)(step) for step in (49, 50)]
    [0.1, 0.0]
    """

    kind: ClassVar[str] = "early"
    rate: float
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        return self.rate if step < self.steps else 0.0


@dataclass(frozen=True)
class Late(Schedule):
    """rate(step) = 0 while step < steps, then rate (late dropout, Liu et al. 2023, against overfitting).

    >>> [Late(0.1, 50)(step) for step in (49, 50)]
    [0.0, 0.1]
    """

    kind: ClassVar[str] = "late"
    rate: float
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        return 0.0 if step < self.steps else self.rate


@dataclass(frozen=True)
class Curriculum(Schedule):
    """rate(step) = rate (1 - exp(-gamma step)) (curriculum dropout, Morerio et al. 2017).

    >>> round(Curriculum(0.5, 0.01)(100), 4)
    0.3161
    """

    kind: ClassVar[str] = "curriculum"
    rate: float
    gamma: float

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        return -self.rate * math.expm1(-self.gamma * step)


@dataclass(frozen=True)
class Valley(Schedule):
    """rate(step) = start (1 - step / turn) while step < turn, then it rises to `end` at `steps`, and stays.

    The V-shaped schedule of Zhou et al. 2020.

    Args:
        start: the rate at the first step.
        end: the rate from `steps` on.
        turn: the step at which the rate is 0.
        steps: the step at which the rate has come to `end`, after `turn`.

    >>> [Valley(0.4, 0.2, 50, 100)(step) for step in (0, 25, 50, 75, 100)]
    [0.4, 0.2, 0.0, 0.1, 0.2]
    """

    kind: ClassVar[str] = "valley"
    start: float
    end: float
    turn: int
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)
        if self.turn >= self.steps:
            raise DropkitError("turn", f"comes before steps, {self.steps}", self.turn, "turn earlier")

    def at(self, step: int) -> float:
        """Return the rate at a step."""
        if step < self.turn:
            return self.start * (1 - step / self.turn)
        return self.end * min((step - self.turn) / (self.steps - self.turn), 1.0)


@dataclass(frozen=True)
class Ramp(Schedule):
    """A share that grows to 95 % of its end in `steps` steps, and to its end in as many again.

    It is how the authors of targeted dropout (Gomez et al. 2019) move gamma, with steps = 20000.

    Args:
        end: the share at the end, in [0, 1].
        steps: the length of each part, in optimizer steps.

    >>> [Ramp(0.5, 100)(step) for step in (0, 50, 100, 200)]
    [0.0, 0.2375, 0.475, 0.5]
    """

    kind: ClassVar[str] = "ramp"
    end: float
    steps: int

    def __post_init__(self) -> None:
        _check_fields(self)

    def at(self, step: int) -> float:
        """Return the share at a step."""
        parts = step / self.steps
        if parts >= 2:
            return self.end
        return self.end * (_RAMP * min(parts, 1.0) + (1 - _RAMP) * max(parts - 1, 0.0))


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

_SCHEDULES: dict[str, type[Schedule]] = {
    cls.kind: cls for cls in (Constant, Linear, Cosine, Early, Late, Curriculum, Valley, Ramp)
}
_FIELDS: Mapping[str, Interval | Whole] = {
    "rate": RATE,
    "start": RATE,
    "end": RATE,
    "steps": _STEPS,
    "turn": _STEPS,
    "gamma": _GAMMA,
}

constant_schedule = Constant
linear_schedule = Linear
cosine_schedule = Cosine
early_schedule = Early
late_schedule = Late
ramp_schedule = Ramp
valley_schedule = Valley


def curriculum_schedule(rate: float, steps: int) -> Curriculum:
    """Return the curriculum whose speed is gamma = 10 / steps: by then the rate is reached but for e**-10.

    >>> curriculum_schedule(0.5, 1000)
    Curriculum(rate=0.5, gamma=0.01)
    """
    return Curriculum(rate, 10 / _STEPS.check("steps", steps))


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

    >>> from_json(to_json(Early(0.1, 50)))
    Early(rate=0.1, steps=50)
    """
    if not isinstance(data, Mapping):
        return data if data is None else check(data)
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind == "per_axis":
        return PerAxis(tuple(fields["rates"]), fields["over"])
    kinds: dict[str, Any] = {**_SCHEDULES, "learned": Learned}
    if kind not in kinds:
        raise DropkitError("rate", "has a known kind", kind, suggest(kind, kinds))
    rate: Rate = kinds[kind](**fields)
    return rate


def _check_fields(schedule: Any) -> None:
    for name, value in vars(schedule).items():
        object.__setattr__(schedule, name, _FIELDS[name].check(name, value))
