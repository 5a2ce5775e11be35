"""Checks without chance: what must hold for every key, every entry and every shape."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np

from dropkit.core import reference
from dropkit.core.bind import Window
from dropkit.core.drop import Drop
from dropkit.core.groups import KofN
from dropkit.core.key import Key
from dropkit.core.mode import Mode
from dropkit.core.pattern import ELLIPSIS, PatternError
from dropkit.core.rate import Early, Linear
from dropkit.testing.exam import Exam, NotApplicable, Result, roundings
from dropkit.testing.registry import share

__all__ = [
    "description",
    "edges",
    "evaluation",
    "gradient",
    "groups",
    "inputs",
    "key",
    "schedule",
    "state",
    "twin",
    "window",
]

Array = np.ndarray[Any, Any]

_RATE = 0.5
_SEED = 20_141
_MODES: tuple[Mode, ...] = ("train", "mc")
# A scheduled rate may be kept as a threshold, rounded by 2**-33 at most. Between rates 0.1 and 0.9 no factor
# or offset of any noise moves by more than 16 times that.
_ROUNDED = 16 * 2.0**-33


def groups(exam: Exam) -> Result:
    """Entries of one group share their draw, bit for bit."""
    declared = exam.declared(_RATE, exam.base)
    m = exam.factor(_RATE, exam.base, exam.key).reshape(declared.split)
    first = m[tuple(slice(None) if span else slice(0, 1) for span in declared.spans)]
    unlike = int((m != first).sum())
    return Result(
        unlike == 0, unlike, 0, f"{unlike} of {m.size} entries differ from the first of their group"
    )


def evaluation(exam: Exam) -> Result:
    """Evaluation applies the declared map; where that is the identity, it returns the very object."""
    x = _normal(exam.base)
    wrong = 0
    # Only a map that is the identity at every rate must not even copy.
    same = exam.subject.identity and exam.declared(0.3, exam.base).factor == 1
    for rate in (0.0, 0.3, 1.0):
        y, factor = exam.at(rate).forward(x, exam.key, "eval"), exam.declared(rate, exam.base).factor
        wrong += int((y != factor * x).sum()) + int(same and y is not x)
    train, mc = (exam.at(_RATE).forward(x, exam.key, mode) for mode in _MODES)
    wrong += int((train != mc).sum())
    return Result(
        wrong == 0, wrong, 0, f"{wrong} deviations from the eval map, and of mode mc from mode train"
    )


def gradient(exam: Exam) -> Result:
    """The gradient is the factor of the forward pass: backward equals grad (f(x + h) - f(x)) / h."""
    x, grad = _normal(exam.base), _normal(exam.base, 1)
    built = exam.at(0.3)
    low, high = built.forward(x, exam.key), built.forward(x + 1.0, exam.key)
    error = abs(built.backward(x, grad, exam.key) - grad * (high - low))
    # Two sums, each rounded at the size of its largest term, and the product of their difference.
    size = abs(grad) * (abs(high) + abs(low) + abs(high - low))
    worst = roundings(error, size)
    return Result(
        worst <= 4, worst, 4, f"backward and the difference quotient differ by {worst:.1f} roundings"
    )


def key(exam: Exam) -> Result:
    """The same key gives the same mask; another key, call or stream another one; no key a fresh one."""
    again = [exam.factor(_RATE, exam.small, exam.key) for _ in range(2)]
    changed, alike = int((again[0] != again[1]).sum()), _alike(exam, again[0])
    sentence = f"{changed} entries moved under the same key, {alike} pairs of keys gave one mask"
    return Result(changed + alike == 0, changed + alike, 0, sentence)


def edges(exam: Exam) -> Result:
    """Rate 0 changes nothing, rate 1 leaves nothing, both are finite; a dropped NaN or infinity is gone."""
    x, grad = _normal(exam.base), _normal(exam.base, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none, whole = exam.at(0.0), exam.at(1.0)
        y, back = whole.forward(x, exam.key), whole.backward(x, grad, exam.key)
        wrong = int((none.forward(x, exam.key) != x).sum() + (none.backward(x, grad, exam.key) != grad).sum())
        wrong += int((y != exam.declared(1.0, exam.base).fill).sum() + (back != 0).sum())
    wrong += _survivors(exam)
    return Result(
        wrong == 0, wrong, 0, f"{wrong} entries wrong at rate 0, at rate 1, or NaN although dropped"
    )


def inputs(exam: Exam) -> Result:
    """Memory layout and type change no mask; empty and 0-d arrays and every type come back as they are."""
    exact = exam.factor(_RATE, exam.base, exam.key)
    types = sum(_lost_type(exam, name, exact) for name in exam.subject.dtypes)
    layouts = sum(_layout_changes(exam, x) for x in _layouts(_normal(exam.base)))
    shapes = sum(_lost_shape(exam, shape) for shape in _odd_shapes(exam))
    sentence = f"{layouts} entries moved by memory layout, {types} by type; {shapes} shapes lost"
    return Result(layouts + types + shapes == 0, layouts + types + shapes, 0, sentence)


def twin(exam: Exam) -> Result:
    """The NumPy reference under the same key decides alike at every entry; values agree to the last bits."""
    worst = moved = 0.0
    for shape in (exam.base, *exam.subject.shapes.long):
        for rate in (0.1, 0.5, 0.9):
            x = _normal(shape)
            expected = reference.apply(x, exam.drop(rate), exam.key)
            y = exam.at(rate).forward(x, exam.key)
            moved += int((exam.coins(rate, shape, exam.key) != exam.expected(rate, shape, exam.key)).sum())
            worst = max(worst, _distance(y, expected, x, exam.declared(rate, shape).law is not None))
    passed = moved == 0 and worst <= 8
    return Result(
        passed,
        worst,
        8,
        f"{moved:.0f} decisions differ from the reference, values by {worst:.1f} ulp",
    )


def window(exam: Exam) -> Result:
    """A part of an array gets the very mask that it has in the whole."""
    if not exam.subject.windows:
        raise NotApplicable("the method takes no part of a larger array")
    drop, shape = exam.drop(_RATE), exam.base
    wrong = 0
    whole = exam.factor(_RATE, shape, exam.key)
    for axis in _cut_axes(drop):
        start = tuple(shape[i] // 2 if i == axis else 0 for i in range(len(shape)))
        part = whole[tuple(slice(i, None) for i in start)]
        place = Window(start, shape)
        wrong += int((exam.factor(_RATE, part.shape, exam.key, window=place) != part).sum())
    return Result(wrong == 0, wrong, 0, f"{wrong} entries of parts differ from the whole")


def description(exam: Exam) -> Result:
    """The description survives JSON."""
    changed = sum(type(drop).from_json(drop.to_json()) != drop for drop in (exam.drop(0.1), exam.drop(1 / 3)))
    return Result(changed == 0, changed, 0, f"{changed} descriptions changed on their way through JSON")


def schedule(exam: Exam) -> Result:
    """At each step the rate of the schedule holds at that very step."""
    if not exam.subject.schedules:
        raise NotApplicable("the method takes no schedule")
    shape, wrong = exam.small, 0
    for plan in (Early(0.9, 2), Linear(0.1, 0.9, 4)):
        for step in range(5):
            x = np.ones(shape)
            wanted = reference.apply(x, exam.drop(plan).at(step), exam.key)
            y = exam.subject.at(plan, step).forward(x, exam.key)
            wrong += int((abs(y - wanted) > _ROUNDED * (1 + abs(wanted))).sum())
    return Result(wrong == 0, wrong, 0, f"{wrong} entries follow the rate of another step")


def state(exam: Exam) -> Result:
    """Evaluation moves nothing that the method keeps, nor does a call under an explicit key."""
    built, x = exam.at(_RATE), _normal(exam.base)
    before, moved = built.state(), []
    for mode in ("eval", "train", "mc"):
        built.forward(x, exam.key, mode)
        moved += [mode] if built.state() != before else []
    return Result(not moved, len(moved), 0, f"state moved by calls in mode {', '.join(moved) or 'none'}")


def _normal(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(_SEED + seed).standard_normal(shape)


def _lost_type(exam: Exam, name: str, exact: Array) -> int:
    """Return how many entries of an array of this type are not those of float64, rounded."""
    y = exam.at(_RATE).forward(np.ones(exam.base, name), exam.key)
    error = abs(y.astype(np.float64) - exact)
    # One rounding of m or of each of a x and b, one of their sum, one of the result.
    return int(y.dtype != name) + int((error > 3 * np.finfo(name).eps * (1 + abs(exact))).sum())


def _alike(exam: Exam, mask: Array) -> int:
    """Return how many pairs of different keys gave one mask, where that is no matter of chance."""
    word = exam.key.word
    others = [Key(word ^ 1), Key(word ^ 2**63), exam.key.fold("a"), exam.key.fold("a", 1), None, None]
    masks = [mask, *(exam.factor(_RATE, exam.small, other) for other in others)]
    pairs = list(itertools.combinations(masks, 2))
    if _chance_alike(exam) * len(pairs) >= share("contract.key"):
        return 0
    return sum(bool((a == b).all()) for a, b in pairs)


def _chance_alike(exam: Exam) -> float:
    """Return the probability that two right masks are equal."""
    declared = exam.declared(_RATE, exam.small)
    independent = tuple(slice(None, None, span) for span in declared.own_spans)
    groups = declared.per_group(np.zeros(exam.small))[independent].size
    return 0.0 if declared.law is not None else (1 - 2 * declared.rate * (1 - declared.rate)) ** groups


def _survivors(exam: Exam) -> int:
    """Return how many dropped entries are not the declared value although x was infinite or NaN."""
    declared = exam.declared(_RATE, exam.base)
    if declared.law is not None:
        return 0
    gone = exam.coins(_RATE, exam.base, exam.key)
    wild = np.where(gone, np.resize([np.nan, np.inf, -np.inf], exam.base), 1.0)
    return int((exam.at(_RATE).forward(wild, exam.key)[gone] != declared.fill).sum())


def _layouts(x: Array) -> list[Array]:
    """The same values in other memory: columns first, axes rotated (channels last), every second entry."""
    order = (0, *range(2, x.ndim), 1) if x.ndim > 1 else (0,)
    back = tuple(int(i) for i in np.argsort(order))
    rotated = np.ascontiguousarray(x.transpose(order)).transpose(back)
    strided = np.repeat(x, 2, axis=-1)[..., ::2]
    return [np.asfortranarray(x), rotated, strided]


def _layout_changes(exam: Exam, x: Array) -> int:
    built, plain = exam.at(_RATE), np.ascontiguousarray(x)
    return int((built.forward(x, exam.key) != built.forward(plain, exam.key)).sum())


def _odd_shapes(exam: Exam) -> list[tuple[int, ...]]:
    shapes = [tuple(0 if i == axis else n for i, n in enumerate(exam.base)) for axis in range(len(exam.base))]
    return [*shapes, (1,) * len(exam.base), ()]


def _lost_shape(exam: Exam, shape: tuple[int, ...]) -> int:
    """Return 1 where an array of this shape does not come back with it."""
    try:
        exam.declared(_RATE, shape)
    except (PatternError, IndexError):
        return 0  # the groups name axes that this shape has not
    y = exam.at(_RATE).forward(np.ones(shape), exam.key)
    return int(y.shape != shape)


def _distance(y: Array, expected: Array, x: Array, continuous: bool) -> float:
    """Return the largest difference in roundings of the terms: of 1 and the deviation if m is continuous."""
    size = abs(expected) + (2 * abs(x) if continuous else 0)
    return roundings(abs(y - expected), size)


def _cut_axes(drop: Drop) -> list[int]:
    """The axes along which a part can be cut: not split ones, not the one along which k of n are chosen."""
    whole = drop.groups.over if isinstance(drop.groups, KofN) else None
    left = drop.groups.parsed.left
    if any(axes[0].name == ELLIPSIS for axes in left[:-1]):
        return [0] if len(left[0]) == 1 and left[0][0].name not in (whole, ELLIPSIS) else []
    return [i for i, axes in enumerate(left) if len(axes) == 1 and axes[0].name != whole]
