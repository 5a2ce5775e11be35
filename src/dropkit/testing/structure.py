"""Checks without chance: what must hold for every key, every entry and every shape."""

from __future__ import annotations

import itertools
import math
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
from dropkit.core.rate import Early, Late, Linear, Schedule
from dropkit.testing import stats
from dropkit.testing.exam import Exam, NotApplicable, Result, judge, roundings
from dropkit.testing.registry import share

__all__ = [
    "description",
    "edges",
    "evaluation",
    "gradient",
    "groups",
    "inputs",
    "key",
    "layouts",
    "nonfinite",
    "schedule",
    "state",
    "twin",
    "window",
]

Array = np.ndarray[Any, Any]

_RATE = 0.5
_SEED = 20_141
_PLANS: tuple[Schedule, ...] = (Early(0.9, 2), Late(0.6, 3), Linear(0.1, 0.9, 4))
_STEPS = 6  # two of them after the end of the longest plan
_DRAWS = 768  # tell steps whose rates are 0.2 apart from each other with power 0.9999
_MODES: tuple[Mode, ...] = ("train", "mc")
# A scheduled rate may be kept as a threshold, rounded by 2**-33 at most. Between rates 0.1 and 0.9 no factor
# or offset of any noise moves by more than 16 times that.
_ROUNDED = 16 * 2.0**-33


def groups(exam: Exam) -> Result:
    """Entries of one group share their draw, bit for bit."""
    unlike = sum(_unlike(exam, rate) for rate in exam.rates)
    return Result(unlike == 0, unlike, 0, f"{unlike} entries differ from the first of their group")


def evaluation(exam: Exam) -> Result:
    """Evaluation applies the declared map; where that is the identity, it returns the very object."""
    mapped = sum(_wrong_eval(exam, rate, name) for rate in (0.0, *exam.rates, 1.0) for name in _types(exam))
    slept = sum(_wrong_mc(exam, rate, name) for rate in exam.rates for name in _types(exam))
    sentence = f"{mapped} deviations from the eval map, and {slept} of mode mc from mode train"
    return Result(mapped + slept == 0, mapped + slept, 0, sentence)


def gradient(exam: Exam) -> Result:
    """The gradient is the factor of the forward pass: backward equals grad (f(x + h) - f(x)) / h."""
    keys = exam.key, exam.key.fold("gradient")
    worst = max(_gradient_error(exam, rate, key) for rate in exam.rates for key in keys)
    lost = sum(_lost_gradient(exam, rate, name) for rate in exam.rates for name in exam.subject.dtypes)
    sentence = f"backward and the difference quotient differ by {worst:.3g} roundings, {lost} entries by type"
    return Result(worst <= 4 and lost == 0, worst, 4, sentence)


def key(exam: Exam) -> Result:
    """The same key gives the same mask; another key, call or stream another one; no key a fresh one."""
    changed = alike = 0
    for rate in exam.rates:
        again = [exam.factor(rate, exam.small, exam.key) for _ in range(2)]
        changed += int((again[0] != again[1]).sum())
        alike += _alike(exam, rate, again[0])
    sentence = f"{changed} entries moved under the same key, {alike} pairs of keys gave one mask"
    return Result(changed + alike == 0, changed + alike, 0, sentence)


def edges(exam: Exam) -> Result:
    """Rate 0 changes nothing, rate 1 leaves nothing, and both are finite, forward and backward."""
    x, grad = _normal(exam.base), _normal(exam.base, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none, whole = exam.at(0.0), exam.at(1.0)
        y, back = whole.forward(x, exam.key), whole.backward(x, grad, exam.key)
        wrong = int((none.forward(x, exam.key) != x).sum() + (none.backward(x, grad, exam.key) != grad).sum())
        wrong += int((y != exam.declared(1.0, exam.base).fill).sum() + (back != 0).sum())
    return Result(wrong == 0, wrong, 0, f"{wrong} entries wrong at rate 0 or at rate 1")


def nonfinite(exam: Exam) -> Result:
    """A dropped NaN or infinity is gone."""
    if exam.declared(_RATE, exam.base).law is not None:
        raise NotApplicable("the noise drops nothing outright")
    left = sum(_survivors(exam, rate) for rate in exam.rates)
    return Result(left == 0, left, 0, f"{left} entries not the declared value although dropped")


def inputs(exam: Exam) -> Result:
    """Values and type change no mask; empty and 0-d arrays and every type come back as they are."""
    values = sum(_moved_by_values(exam, rate) for rate in exam.rates)
    types = sum(_lost_type(exam, rate, name) for rate in exam.rates for name in exam.subject.dtypes)
    shapes = sum(_lost_shape(exam, shape) for shape in _odd_shapes(exam))
    wrong = values + types + shapes
    sentence = f"{values} entries moved by values, {types} by type; {shapes} shapes lost"
    return Result(wrong == 0, wrong, 0, sentence)


def layouts(exam: Exam) -> Result:
    """Memory layout changes no mask."""
    moved = sum(_layout_changes(exam, x) for x in _layouts(_normal(exam.base)))
    return Result(moved == 0, moved, 0, f"{moved} entries moved by memory layout")


def twin(exam: Exam) -> Result:
    """The NumPy reference under the same key decides alike at every entry; values agree to the last bits."""
    worst = moved = 0.0
    for shape in (exam.base, *exam.subject.shapes.long):
        for rate in exam.rates:
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
    """Before, inside and after a schedule the rate holds that the schedule has at that very step."""
    if not exam.subject.schedules:
        raise NotApplicable("the method takes no schedule")
    steps = [(plan, step) for plan in _PLANS for step in range(_STEPS)]
    if exam.subject.drop is None:
        p = stats.joint([_step_seen(exam, plan, step) for plan, step in steps])
        return judge("contract.schedule", p, f"rates and values seen at {len(steps)} steps of schedules")
    wrong = sum(_off_step(exam, plan, step) for plan, step in steps)
    return Result(wrong == 0, wrong, 0, f"{wrong} entries follow the rate of another step")


def state(exam: Exam) -> Result:
    """Evaluation moves nothing that the method keeps, nor does a call under an explicit key."""
    x, moved = _normal(exam.base), set()
    for rate in exam.rates:
        built = exam.at(rate)
        before = built.state()
        for mode in ("eval", "train", "mc"):
            built.forward(x, exam.key, mode)
            moved |= {mode} if built.state() != before else set()
    return Result(
        not moved,
        len(moved),
        0,
        f"calls in {len(moved)} modes moved the state {', '.join(sorted(moved))}".rstrip(),
    )


def _normal(shape: tuple[int, ...], seed: int = 0) -> Array:
    return np.random.default_rng(_SEED + seed).standard_normal(shape)


def _types(exam: Exam) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*exam.subject.dtypes, "float64")))


def _unlike(exam: Exam, rate: float) -> int:
    """Return how many entries differ from the first of their group."""
    declared = exam.declared(rate, exam.base)
    m = exam.factor(rate, exam.base, exam.key).reshape(declared.split)
    first = m[tuple(slice(None) if span else slice(0, 1) for span in declared.spans)]
    return int((m != first).sum())


def _wrong_eval(exam: Exam, rate: float, name: str) -> int:
    """Return how many entries are not the eval map's, and one more for a copy where it is the identity."""
    x, factor = _normal(exam.base).astype(name), exam.declared(rate, exam.base).factor
    y, exact = exam.at(rate).forward(x, exam.key, "eval"), factor * x.astype(np.float64)
    # Only a map that is the identity at every rate must not even copy.
    same = exam.subject.identity and exam.declared(0.3, exam.base).factor == 1
    return _deviating(y, exact, name, abs(exact)) + int(same and y is not x)


def _wrong_mc(exam: Exam, rate: float, name: str) -> int:
    x = _normal(exam.base).astype(name)
    train, mc = (exam.at(rate).forward(x, exam.key, mode) for mode in _MODES)
    return int((train != mc).sum())


def _gradient_error(exam: Exam, rate: float, key: Key) -> float:
    """Return by how many roundings backward and the difference quotient differ."""
    x, grad = _normal(exam.base), _normal(exam.base, 1)
    built = exam.at(rate)
    low, high = built.forward(x, key), built.forward(x + 1.0, key)
    error = abs(built.backward(x, grad, key) - grad * (high - low))
    # Two sums, each rounded at the size of its largest term, and the product of their difference.
    return roundings(error, abs(grad) * (abs(high) + abs(low) + abs(high - low)))


def _lost_gradient(exam: Exam, rate: float, name: str) -> int:
    """Return how many entries of a gradient of this type are not those of float64, rounded."""
    x, grad = _normal(exam.base).astype(name), _normal(exam.base, 1).astype(name)
    built = exam.at(rate)
    exact = built.backward(x.astype(np.float64), grad.astype(np.float64), exam.key)
    return _deviating(built.backward(x, grad, exam.key), exact, name, abs(exact) + abs(grad))


def _moved_by_values(exam: Exam, rate: float) -> int:
    """Return at how many entries the factor of one array is not that of another."""
    built, x = exam.at(rate), _normal(exam.base)
    zero, one, low, high = (built.forward(value, exam.key) for value in (0 * x, 0 * x + 1, x, x + 1))
    size = 1 + abs(zero) + abs(one) + abs(low) + abs(high)
    return int((abs((high - low) - (one - zero)) > 8 * np.finfo(float).eps * size).sum())


def _lost_type(exam: Exam, rate: float, name: str) -> int:
    """Return how many entries of an array of this type are not those of float64, rounded."""
    x = _normal(exam.base).astype(name)
    exact = exam.at(rate).forward(x.astype(np.float64), exam.key)
    size = abs(exact) + abs(x) + abs(exam.declared(rate, exam.base).shift)
    return _deviating(exam.at(rate).forward(x, exam.key), exact, name, size)


def _deviating(y: Array, exact: Array, name: str, size: Array) -> int:
    """Return how many entries are off by more than three roundings, and one more for another type."""
    # One rounding of m or of each of a x and b, one of their sum, one of the result.
    bound = 3 * (np.finfo(name).eps * size + float(np.finfo(name).smallest_subnormal))
    return int(y.dtype != name) + int((abs(y.astype(np.float64) - exact) > bound).sum())


def _off_step(exam: Exam, plan: Schedule, step: int) -> int:
    """Return how many entries are not the reference's at the rate of the step."""
    x = np.ones(exam.small)
    wanted = reference.apply(x, exam.drop(plan).at(step), exam.key)
    y = exam.subject.at(plan, step).forward(x, exam.key)
    return int((abs(y - wanted) > _ROUNDED * (1 + abs(wanted))).sum())


def _step_seen(exam: Exam, plan: Schedule, step: int) -> float:
    """Return the p-value of what is seen at a step: 0 for a value that is none of the rate of that step."""
    rate, built = plan(step), exam.subject.at(plan, step)
    declared = exam.declared(rate, exam.base)
    keys = [exam.key.fold("step", i) for i in range(math.ceil(_DRAWS / declared.draws))]
    y = np.stack([declared.per_group(built.forward(np.ones(exam.base), key)) for key in keys])
    if rate in (0, 1):
        return float((y == (declared.fill if rate else 1.0)).all())
    if declared.law is not None:
        thin = declared.thin(y)
        return stats.joint([stats.distribution(thin, declared.law), stats.scores(thin, declared.law)])
    gone, kept = declared.coins(y), declared.scale + declared.shift
    far = abs(y - np.where(gone, declared.fill, kept)) > _ROUNDED * (1 + abs(kept))
    hits = declared.thin(gone)
    return 0.0 if far.any() else stats.binomial(int(hits.sum()), hits.size, rate)


def _alike(exam: Exam, rate: float, mask: Array) -> int:
    """Return how many pairs of different keys gave one mask, where that is no matter of chance."""
    word = exam.key.word
    others = [Key(word ^ 1), Key(word ^ 2**63), exam.key.fold("a"), exam.key.fold("a", 1), None, None]
    masks = [mask, *(exam.factor(rate, exam.small, other) for other in others)]
    pairs = list(itertools.combinations(masks, 2))
    if _chance_alike(exam, rate) * len(pairs) >= share("contract.key") / len(exam.rates):
        return 0
    return sum(bool((a == b).all()) for a, b in pairs)


def _chance_alike(exam: Exam, rate: float) -> float:
    """Return the probability that two right masks are equal."""
    declared = exam.declared(rate, exam.small)
    alike: float = 0.0 if declared.law is not None else 1 - 2 * declared.rate * (1 - declared.rate)
    return alike**declared.draws


def _survivors(exam: Exam, rate: float) -> int:
    """Return how many dropped entries are not the declared value although x was infinite or NaN."""
    gone = exam.coins(rate, exam.base, exam.key)
    wild = np.where(gone, np.resize([np.nan, np.inf, -np.inf], exam.base), 1.0)
    y = exam.at(rate).forward(wild, exam.key)
    return int((y[gone] != exam.declared(rate, exam.base).fill).sum())


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
