"""Argument checks as data: one object says the rule, checks a value, and knows values that break it."""

from __future__ import annotations

import difflib
import importlib
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

__all__ = [
    "RATE",
    "DropkitError",
    "Interval",
    "MissingPackage",
    "OneOf",
    "Whole",
    "check_each",
    "check_kind",
    "check_names",
    "check_span",
    "is_real",
    "is_whole",
    "suggest",
    "try_import",
]

T = TypeVar("T")


class DropkitError(ValueError):
    """An argument was refused: the message names the argument, the rule, the value given and the mend.

    >>> raise DropkitError("rate", "must be a number in [0, 1]", 1.5, "write e.g. 0.5")
    Traceback (most recent call last):
    dropkit.core.check.DropkitError: rate must be a number in [0, 1], got 1.5; write e.g. 0.5
    """

    def __init__(self, argument: str, rule: str, value: object, mend: str) -> None:
        self.argument, self.rule, self.value, self.mend = argument, rule, value, mend
        super().__init__(f"{argument} {rule}, got {_short(value)}; {mend}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.argument, self.rule, self.value, self.mend)


class MissingPackage(ImportError):  # noqa: N818  # says what is the matter, as KeyboardInterrupt does
    """An optional package is not installed: the message is the line to type."""


@dataclass(frozen=True)
class Interval:
    """A real number between two bounds.

    >>> Interval(0, 1, mend="write the share that is dropped, e.g. 0.5").check("rate", 0.5)
    0.5
    """

    low: float
    high: float
    mend: str
    open_low: bool = False
    open_high: bool = False

    @property
    def rule(self) -> str:
        """The rule in words."""
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"must be a number in {left}{self.low:g}, {self.high:g}{right}"

    def check(self, argument: str, value: Any) -> float:
        """Return the value as a float, or raise `DropkitError`."""
        if not is_real(value) or not self._holds(value):
            raise DropkitError(argument, self.rule, value, self.mend)
        return float(value)

    def bad(self) -> tuple[object, ...]:
        """Values that break the rule, for tests."""
        below = self.low if self.open_low else math.nextafter(self.low, -math.inf)
        above = self.high if self.open_high else math.nextafter(self.high, math.inf)
        return (below, above, self.low - 1, -math.inf, math.nan, "0.5", None, True, 1j, [0.5])

    def _holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below


@dataclass(frozen=True)
class Whole:
    """A whole number that is at least `low` (and below `below`, if given).

    >>> Whole(1, mend="give the side of a block, e.g. 7").check("block_size", 7)
    7
    """

    low: int
    mend: str
    below: int | None = None

    @property
    def rule(self) -> str:
        """The rule in words."""
        end = "" if self.below is None else f" and below {_power(self.below)}"
        return f"must be a whole number of at least {self.low}{end}"

    def check(self, argument: str, value: Any) -> int:
        """Return the value as an int, or raise `DropkitError`."""
        if not is_whole(value) or value < self.low or (self.below is not None and value >= self.below):
            raise DropkitError(argument, self.rule, value, self.mend)
        return int(value)

    def bad(self) -> tuple[object, ...]:
        """Values that break the rule, for tests."""
        beyond = () if self.below is None else (self.below,)
        return (self.low - 1, *beyond, self.low + 0.5, math.nan, "1", None, True)


@dataclass(frozen=True)
class OneOf:
    """A word out of a short list; a misspelt one is answered with the nearest.

    >>> OneOf(("train", "eval", "mc")).check("mode", "mc")
    'mc'
    """

    words: tuple[str, ...]

    @property
    def rule(self) -> str:
        """The rule in words."""
        return f"must be one of {', '.join(map(repr, self.words))}"

    def check(self, argument: str, value: Any) -> str:
        """Return the word, or raise `DropkitError`."""
        if not isinstance(value, str) or value not in self.words:
            raise DropkitError(argument, self.rule, value, suggest(value, self.words))
        return value

    def bad(self) -> tuple[object, ...]:
        """Values that break the rule, for tests."""
        return (self.words[0] + "x", "", None, 1)


RATE = Interval(0, 1, mend="write the share that is dropped, e.g. 0.5")


def is_real(value: object) -> bool:
    """Whether the value is a real number and not a bool."""
    # A float is recognised at once; the abstract class costs a microsecond.
    return isinstance(value, float | numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Whether the value is an integer and not a bool."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_kind(argument: str, value: Any, kind: type[T], mend: str) -> T:
    """Return the value if it is of this class, or raise `DropkitError`.

    >>> check_kind("name", "encoder", str, "name the stream, e.g. 'encoder.drop'")
    'encoder'
    """
    if not isinstance(value, kind):
        raise DropkitError(argument, f"must be a {kind.__name__}", value, mend)
    return value


def check_each(argument: str, values: Any, rule: Interval | Whole) -> tuple[Any, ...]:
    """Return the values as a tuple of numbers that each follow the rule, or raise `DropkitError`.

    >>> check_each("shape", [2, 3], Whole(0, mend="give the size of each axis"))
    (2, 3)
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DropkitError(argument, "must be a tuple of numbers", values, rule.mend)
    return tuple(rule.check(f"{argument}[{i}]", value) for i, value in enumerate(values))


def check_span(argument: str, pair: Any, rule: Interval) -> tuple[float, float]:
    """Return a pair of numbers (low, high) if both follow the rule and low <= high, or raise `DropkitError`.

    >>> check_span("alpha", (0, 1), RATE)
    (0.0, 1.0)
    """
    numbers = check_each(argument, pair, rule)
    if len(numbers) != 2 or numbers[0] > numbers[1]:
        raise DropkitError(argument, "is (low, high) with low <= high", pair, rule.mend)
    return numbers[0], numbers[1]


def check_names(argument: str, names: Any, known: Iterable[str]) -> list[str]:
    """Return the names as a list if all are known, or raise `DropkitError`.

    >>> check_names("skip", ["head"], ["body", "head"])
    ['head']
    """
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise DropkitError(argument, "is a list of names", names, f"write e.g. {[names]!r}")
    chosen, known = list(names), list(known)
    for name in chosen:
        if name not in known:
            raise DropkitError(argument, "must be one of the names", name, suggest(name, known))
    return chosen


def suggest(word: object, known: Iterable[str], otherwise: str = "") -> str:
    """Say which known word was probably meant; where none is near, list all, or say what `otherwise` says.

    >>> suggest("drop_blok", ["drop_block", "drop_path"])
    "did you mean 'drop_block'?"
    """
    known = sorted(known)
    near = difflib.get_close_matches(str(word), known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return otherwise or (f"choose from {', '.join(known)}" if known else "leave it out")


def try_import(package: str, extra: str) -> ModuleType:
    """Import an optional package, or raise `MissingPackage` with the line to type.

    >>> try_import("no_such_package", extra="study")
    Traceback (most recent call last):
    dropkit.core.check.MissingPackage: no_such_package is not installed; type: pip install 'dropkit[study]'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        message = f"{package} is not installed; type: pip install 'dropkit[{extra}]'"
        raise MissingPackage(message, name=error.name) from None


def _power(number: int) -> str:
    exponent = number.bit_length() - 1
    return f"2**{exponent}" if exponent >= 16 and number == 2**exponent else str(number)


def _short(value: object, limit: int = 80) -> str:
    # NumPy writes its scalars as np.float64(1.5) otherwise, also inside tuples.
    with np.printoptions(legacy="1.25"):
        text = repr(value)
    if "\n" in text:
        text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
