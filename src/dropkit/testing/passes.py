"""Checks of what both passes do to the arrays that they are given: values, types, layouts, no traces left."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from dropkit.core.key import Key
from dropkit.core.mode import Mode
from dropkit.core.pattern import PatternError
from dropkit.testing.arrays import LAYOUTS, Array, normal, telling
from dropkit.testing.exam import Exam, NotApplicable, Result, Shape, deviating, roundings

__all__ = ["gradient", "inputs", "layouts", "nonfinite", "untouched"]

Lay = Callable[[Array], Array]

_RATE = 0.5
_WILD = np.nan, np.inf, -np.inf
_MODES: tuple[Mode, ...] = ("train", "mc", "eval")


def gradient(exam: Exam) -> Result:
    """The gradient is the factor of the forward pass: backward equals grad (f(x + h) - f(x)) / h.

    It is so also where x is 0 or its image is the fill, so that y does not tell what was dropped; however x
    and grad lie in memory; and in every type, by the forward pass of that very layout and type.
    """
    worst = max(_gradient_error(exam, *case) for case in _gradient_cases(exam))
    lost = sum(_lost_gradient(exam, rate, name) for rate in exam.rates for name in exam.subject.dtypes)
    sentence = f"backward and the difference quotient differ by {worst:.3g} roundings, {lost} entries by type"
    return Result(worst <= 4 and lost == 0, worst, 4, sentence)


def nonfinite(exam: Exam) -> Result:
    """A dropped NaN or infinity is gone, in x as in the gradient, and no entry notices one elsewhere.

    What is dropped is replaced and not multiplied by 0: forward gives the declared value, backward 0.
    """
    if exam.declared(_RATE, exam.base).law is not None:
        raise NotApplicable("the noise drops nothing outright")
    cases = list(zip(exam.rates, itertools.cycle(exam.subject.dtypes)))
    with np.errstate(all="ignore"):
        forward, backward = (sum(left) for left in zip(*(_left(exam, *case) for case in cases), strict=True))
    sentence = f"{forward} entries not the declared value although dropped, {backward} gradients not 0"
    return Result(forward + backward == 0, forward + backward, 0, sentence)


def inputs(exam: Exam) -> Result:
    """Values and type change no mask; empty and 0-d arrays and every type come back as they are."""
    values = sum(_moved_by_values(exam, rate) for rate in exam.rates)
    types = sum(_lost_type(exam, rate, name) for rate in exam.rates for name in exam.subject.dtypes)
    shapes = sum(_lost_shape(exam, shape) for shape in _odd_shapes(exam))
    wrong = values + types + shapes
    sentence = f"{values} entries moved by values, {types} by type; {shapes} shapes lost"
    return Result(wrong == 0, wrong, 0, sentence)


def layouts(exam: Exam) -> Result:
    """Memory layout changes no mask, forward or backward, and so no value."""
    moved = sum(_moved_by_layout(exam, rate, lay) for rate in _laid(exam) for lay in LAYOUTS)
    return Result(moved == 0, moved, 0, f"{moved} entries moved by memory layout")


def untouched(exam: Exam) -> Result:
    """Neither pass writes into an array that it was given."""
    cases = [*((rate, _plain) for rate in (*exam.rates, 1.0)), *((_RATE, lay) for lay in LAYOUTS)]
    named = zip(cases, itertools.cycle(exam.subject.dtypes))
    written = sum(_written(exam, rate, name, lay) for (rate, lay), name in named)
    return Result(written == 0, written, 0, f"{written} of the given arrays were written into")


def _laid(exam: Exam) -> tuple[float, ...]:
    """The rates at which every layout is looked at: one that all know, and one that follows from the key."""
    return exam.rates[0], exam.rates[-1]


def _plain(x: Array) -> Array:
    return np.array(x, order="C")


def _gradient_cases(exam: Exam) -> Iterator[tuple[float, Key, Array, Lay, Lay]]:
    """Yield rates, keys, values, and how x and the gradient lie in memory."""
    for rate in exam.rates:
        values = telling(exam.declared(rate, exam.base), exam.base)
        yield rate, exam.key.fold("gradient"), normal(exam.base), _plain, _plain
        yield rate, exam.key, values, _plain, _plain
    for rate, lay in itertools.product(_laid(exam), LAYOUTS):
        values = telling(exam.declared(rate, exam.base), exam.base)
        yield rate, exam.key, values, _plain, lay
        yield rate, exam.key, values, lay, lay


def _gradient_error(exam: Exam, rate: float, key: Key, values: Array, lay: Lay, lay_grad: Lay) -> float:
    """Return by how many roundings backward and the difference quotient differ."""
    built, (grad, given) = exam.at(rate), (lay_grad(normal(exam.base, 1)) for _ in range(2))
    low, high = (built.forward(lay(x), key) for x in (values, values + 1.0))
    error = abs(built.backward(lay(values), given, key) - grad * (high - low))
    # Two sums, each rounded at the size of its largest term, and the product of their difference.
    return roundings(error, abs(grad) * (abs(high) + abs(low) + abs(high - low)))


def _lost_gradient(exam: Exam, rate: float, name: str) -> int:
    """Return how many entries of a gradient of this type are not the factor of the forward pass in it."""
    built, grad = exam.at(rate), normal(exam.base, 1).astype(name)
    x = telling(exam.declared(rate, exam.base), exam.base).astype(name)
    zero, one = (_wide(built.forward(np.full_like(x, value), exam.key)) for value in (0, 1))
    exact, size = grad * (one - zero), abs(grad) * (abs(zero) + abs(one) + abs(one - zero))
    return deviating(built.backward(x, grad, exam.key), exact, name, size)


def _moved_by_values(exam: Exam, rate: float) -> int:
    """Return at how many entries the factor of one array is not that of another."""
    built, ones = exam.at(rate), np.ones(exam.base)
    zero, one = (built.forward(value, exam.key) for value in (0 * ones, ones))
    moved = 0
    for x in (normal(exam.base), telling(exam.declared(rate, exam.base), exam.base)):
        low, high = (built.forward(value, exam.key) for value in (x, x + 1))
        size = 1 + abs(zero) + abs(one) + abs(low) + abs(high)
        moved += int((abs((high - low) - (one - zero)) > 8 * np.finfo(float).eps * size).sum())
    return moved


def _lost_type(exam: Exam, rate: float, name: str) -> int:
    """Return how many entries of an array of this type are not those of float64, rounded."""
    x = normal(exam.base).astype(name)
    exact = exam.at(rate).forward(_wide(x), exam.key)
    size = abs(exact) + abs(x) + abs(exam.declared(rate, exam.base).shift)
    return deviating(exam.at(rate).forward(x, exam.key), exact, name, size)


def _left(exam: Exam, rate: float, name: str) -> tuple[int, int]:
    """Return how many entries are wrong forward, and how many backward, where NaN and infinities fall."""
    built, declared, one = exam.at(rate), exam.declared(rate, exam.base), np.ones(exam.base, name)
    y, back = built.forward(one, exam.key), built.backward(one, one, exam.key)
    gone = declared.coins(_wide(y))
    wild = np.where(gone, np.resize(_WILD, exam.base), 1.0).astype(name)
    left = built.forward(wild, exam.key) != np.where(gone, one.dtype.type(declared.fill), y)
    backs = built.backward(wild, one, exam.key), built.backward(one, wild, exam.key)
    return int(left.sum()), sum(int((found != np.where(gone, 0, back)).sum()) for found in backs)


def _moved_by_layout(exam: Exam, rate: float, lay: Lay) -> int:
    """Return at how many entries either pass differs from what it does to the same values row by row."""
    built, x, grad = exam.at(rate), lay(normal(exam.base)), lay(normal(exam.base, 1))
    plain, row = _plain(x), _plain(grad)
    moved = int((built.forward(x, exam.key) != built.forward(plain, exam.key)).sum())
    back = built.backward(plain, row, exam.key)
    laid = (built.backward(*pair, exam.key) for pair in ((x, row), (plain, grad), (x, grad)))
    return moved + sum(int((found != back).sum()) for found in laid)


def _written(exam: Exam, rate: float, name: str, lay: Lay) -> int:
    """Return how many arrays of a forward call in each mode and of a backward call came back changed."""
    built = exam.at(rate)
    x, grad = (lay(normal(exam.base, seed).astype(name)) for seed in (0, 1))
    before = x.tobytes(), grad.tobytes()
    for mode in _MODES:
        built.forward(x, exam.key, mode)
    built.backward(x, grad, exam.key)
    return sum(array.tobytes() != bytes_ for array, bytes_ in zip((x, grad), before, strict=True))


def _odd_shapes(exam: Exam) -> list[Shape]:
    shapes = [tuple(0 if i == axis else n for i, n in enumerate(exam.base)) for axis in range(len(exam.base))]
    return [*shapes, (1,) * len(exam.base), ()]


def _lost_shape(exam: Exam, shape: Shape) -> int:
    """Return 1 where an array of this shape does not come back with it, forward or backward."""
    try:
        exam.declared(_RATE, shape)
    except (PatternError, IndexError):
        return 0  # the groups name axes that this shape has not
    built, x = exam.at(_RATE), np.ones(shape)
    return int({built.forward(x, exam.key).shape, built.backward(x, x, exam.key).shape} != {shape})


def _wide(x: Array) -> Array:
    return x.astype(np.float64)
