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
from dropkit.core.pattern import ELLIPSIS
from dropkit.core.schedule import Early, Late, Linear, Schedule
from dropkit.testing import stats
from dropkit.testing.arrays import normal
from dropkit.testing.exam import Exam, NotApplicable, Result, deviating, judge, roundings
from dropkit.testing.registry import share

__all__ = [
    "description",
    "edges",
    "evaluation",
    "groups",
    "key",
    "schedule",
    "state",
    "twin",
    "window",
]

Array = np.ndarray[Any, Any]

_RATE = 0.5
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
    x, grad = normal(exam.base), normal(exam.base, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none, whole = exam.at(0.0), exam.at(1.0)
        y, back = whole.forward(x, exam.key), whole.backward(x, grad, exam.key)
        wrong = int((none.forward(x, exam.key) != x).sum() + (none.backward(x, grad, exam.key) != grad).sum())
        wrong += int((y != exam.declared(1.0, exam.base).fill).sum() + (back != 0).sum())
    return Result(wrong == 0, wrong, 0, f"{wrong} entries wrong at rate 0 or at rate 1")


def twin(exam: Exam) -> Result:
    """The NumPy reference under the same key decides alike at every entry; values agree to the last bits."""
    worst = moved = 0.0
    for shape in (exam.base, *exam.subject.shapes.long):
        for rate in exam.rates:
            x = normal(shape)
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
    x, moved = normal(exam.base), set()
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
    x, factor = normal(exam.base).astype(name), exam.declared(rate, exam.base).factor
    y, exact = exam.at(rate).forward(x, exam.key, "eval"), factor * x.astype(np.float64)
    # Only a map that is the identity at every rate must not even copy.
    same = exam.subject.identity and exam.declared(0.3, exam.base).factor == 1
    return deviating(y, exact, name, abs(exact)) + int(same and y is not x)


def _wrong_mc(exam: Exam, rate: float, name: str) -> int:
    x = normal(exam.base).astype(name)
    train, mc = (exam.at(rate).forward(x, exam.key, mode) for mode in _MODES)
    return int((train != mc).sum())


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
