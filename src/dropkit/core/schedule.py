"""Schedules: rates that move over optimizer steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dropkit.core.check import RATE, DropkitError, Interval, Whole

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Curriculum",
    "Early",
    "Late",
    "Linear",
    "Ramp",
    "Schedule",
    "Valley",
    "constant_schedule",
    "cosine_schedule",
    "curriculum_schedule",
    "early_schedule",
    "late_schedule",
    "linear_schedule",
    "ramp_schedule",
    "valley_schedule",
]

_STEPS = Whole(1, "give a number of optimizer steps, e.g. 1000")
_STEP = Whole(0, "give the number of optimizer steps taken so far")
_GAMMA = Interval(0, math.inf, "give a speed a step, e.g. 10 / steps", open_low=True, open_high=True)
_RAMP = 0.95  # of the end, over the first half


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


SCHEDULES: dict[str, type[Schedule]] = {
    cls.kind: cls for cls in (Constant, Linear, Cosine, Early, Late, Curriculum, Valley, Ramp)
}
"""Every schedule by its kind."""

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


def _check_fields(schedule: Any) -> None:
    for name, value in vars(schedule).items():
        object.__setattr__(schedule, name, _FIELDS[name].check(name, value))
