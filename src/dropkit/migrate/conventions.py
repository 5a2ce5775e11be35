"""What other frameworks mean by their dropout, as data, and what that is here.

Frameworks differ in four ways: whether the argument is the probability to drop or to keep, whether training
or evaluation carries the factor, which axes share a coin, and when it draws. A convention says all four.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from dropkit.core.check import DropkitError, Interval, OneOf, Whole, is_whole
from dropkit.core.drop import Drop
from dropkit.core.mode import Scale

__all__ = ["Convention", "drop_from", "fold_scale", "pattern_from", "rate_from", "scale_from"]

_LETTERS = "abcdefgh"
_DROP = Interval(0, 1, mend="write the share that is dropped, e.g. 0.5")
_KEEP = Interval(0, 1, mend="write the share that is kept, e.g. 0.5", open_low=True)
_RANK = Whole(1, "give the number of axes of the input", below=len(_LETTERS) + 1)


@dataclass(frozen=True)
class Convention:
    """How one family of calls says dropout.

    Args:
        name: by which it is asked for, e.g. "paddle".
        argument: the argument that carries the probability.
        means: whether that is the probability to `"drop"` or to `"keep"` an entry.
        calls: full names of the calls in Python, each with what it becomes below `dropkit`, e.g.
            "torch.Dropout"; empty where models are not written in Python.
        position: of the argument among those without a name; None where it must be named.
        default: of the argument; None where it must be given.
        active: when it draws unless told otherwise.
        trap: what goes wrong in translation.
        source: where this was read.
        scale: where the factor 1 - rate goes by default, in the words of `Drop`.
        switch: the argument that moves the factor, if there is one.
        scales: what each of its values means.
        axes: the argument that names axes, if there is one.
        axes_are: whether these axes are `"shared"` by one coin, have coins of their `"own"`, or are given as
            the `"shape"` of the mask, in which 1 is shared.
        switch_position, axes_position: of these two, as `position`.
        others: name and position of further arguments of the call, by what they are here: `"x"`, `"key"`
            (without a name where ours needs one and the foreign call has none), `"training"`,
            `"evaluation"` (its opposite), `"recurrent"` (whether all steps share a mask).
    """

    name: str
    argument: str
    means: Literal["drop", "keep"]
    calls: Mapping[str, str]
    position: int | None
    default: float | None
    active: str
    trap: str
    source: str
    scale: Scale = "train"
    switch: str = ""
    scales: Mapping[str | bool, Scale] = field(default_factory=dict)
    axes: str = ""
    axes_are: Literal["", "shared", "own", "shape"] = ""
    switch_position: int | None = None
    axes_position: int | None = None
    others: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)

    @property
    def optional(self) -> bool:
        """Whether the call drops nothing unless it is told to."""
        return self.default == (0 if self.means == "drop" else 1)


def rate_from(convention: str, value: float | None = None) -> float:
    """Return the probability that an entry is dropped: the value itself, or 1 - value where it is kept.

    Args:
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        value: as it is written there, in [0, 1], above 0 where it is the probability to keep; without it,
            the framework's default.

    Raises:
        DropkitError: the convention is unknown, the value out of range, or missing where it has no default.

    >>> rate_from("tensorflow 1", 0.9), rate_from("tensorflow 2", 0.9)
    (0.1, 0.9)
    """
    known = _named(convention)
    given = known.default if value is None else value
    if given is None:
        raise DropkitError("value", "is needed, for there is no default", value, f"give {known.argument}")
    if known.means == "drop":
        return _DROP.check("value", given)
    # In decimals 1 - 0.9 is 0.1, as its writer meant; in binary it is 0.09999999999999998.
    return float(1 - Decimal(repr(_KEEP.check("value", given))))


def scale_from(convention: str, switch: str | bool | None = None) -> Scale:
    """Return where the factor 1 - rate goes: into `"train"`, into `"eval"`, or `"none"`, nowhere.

    Args:
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        switch: the value of its argument `switch`, e.g. Paddle's `mode`; without it, the default.

    Raises:
        DropkitError: the convention is unknown, has no such argument, or not with this value.

    >>> scale_from("paddle"), scale_from("paddle", "downscale_in_infer"), scale_from("paddle 1")
    ('train', 'eval', 'eval')
    """
    known = _named(convention)
    if switch is None:
        return known.scale
    if switch not in known.scales:
        values = " or ".join(map(repr, known.scales))
        rule = f"is {known.switch}={values}" if values else "is for conventions whose factor can move"
        raise DropkitError("switch", rule, switch, "leave it out for the default")
    return known.scales[switch]


def pattern_from(convention: str, axes: Any, rank: int) -> str:
    """Return the pattern that says which entries share a coin.

    Axes are named a, b, c ... in order. A list of axes means opposite things in different frameworks: in
    Paddle those named have coins of their own, in MXNet, Flax, Haiku and Lasagne those named share one.

    Args:
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        axes: as the framework takes them: one axis or several, negative ones from the end; or the shape of
            the mask, in which 1 is shared and any other entry (also None) is not.
        rank: the number of axes of the input, in [1, 8].

    Raises:
        DropkitError: the convention is unknown or takes no axes, or they do not fit the rank.

    >>> pattern_from("paddle", [0, 1], 4), pattern_from("mxnet", [0, 1], 4)
    ('a b c d -> a b', 'a b c d -> c d')
    >>> pattern_from("keras", (32, 1, 64), 3)
    'a b c -> a c'
    """
    known, rank = _named(convention), _RANK.check("rank", rank)
    if not known.axes:
        raise DropkitError("axes", "is for conventions that can share a coin", axes, "leave it out")
    left = list(_LETTERS[:rank])
    right = [left[i] for i in range(rank) if i in _own(known, axes, rank)]
    return f"{' '.join(left)} -> {' '.join(right)}".rstrip()


def drop_from(
    convention: str,
    value: float | None = None,
    *,
    switch: str | bool | None = None,
    axes: Any = None,
    rank: int | None = None,
) -> Drop:
    """Return what a foreign dropout does, as a `dropkit.Drop`: the same rate, coins and factor.

    Args:
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        value: as in `rate_from`.
        switch: as in `scale_from`.
        axes: as in `pattern_from`; without it every entry has a coin of its own.
        rank: the number of axes of the input, needed with `axes`.

    Raises:
        DropkitError: as in these three.

    >>> drop = drop_from("paddle", 0.3, switch="downscale_in_infer", axes=1, rank=2)
    >>> drop.rate, drop.scale, drop.groups
    (0.3, 'eval', Pattern(pattern='a b -> b', sizes=()))
    """
    pattern = "..." if axes is None else pattern_from(convention, axes, rank)  # type: ignore[arg-type]  # checked there
    return Drop(rate_from(convention, value), pattern, scale=scale_from(convention, switch))


def fold_scale(
    weight: Any, convention: str, value: float | None = None, *, switch: str | bool | None = None
) -> Any:
    """Return the weight that follows a foreign dropout, as it has to be after inverted dropout.

    Where evaluation carried the factor, W becomes (1 - rate) W (Srivastava et al. 2014, section 10): the
    outputs of evaluation stay, and so does the expectation in training. Where training carried it, W is
    returned as it is: no weight is scaled twice. Biases stay. What lies between the dropout and the weight
    must let the factor pass (ReLU, pooling, flattening; not tanh, softmax, normalisation); to be told, load
    the weights into `dropkit.torch.Dropout(rate, scale="eval")` and call `dropkit.bake_scale`.

    Args:
        weight: the array or tensor by which the output of the dropout is multiplied, of a floating type.
        convention: a name in `dropkit.migrate.CONVENTIONS`.
        value: as in `rate_from`.
        switch: as in `scale_from`.

    Raises:
        DropkitError: as in these two, or nothing carried the factor: inverted dropout is another network.

    >>> import numpy
    >>> fold_scale(numpy.ones(2), "torch7", 0.5, switch=True), fold_scale(numpy.ones(2), "torch7", 0.5)
    (array([0.5, 0.5]), array([1., 1.]))
    """
    rate, scale = rate_from(convention, value), scale_from(convention, switch)
    if scale == "none":
        mend = 'keep it with dropkit.torch.Dropout(rate, scale="none")'
        raise DropkitError("switch", "leaves a factor in training or evaluation", switch, mend)
    return weight if scale == "train" else weight * (1 - rate)


def _named(name: str) -> Convention:
    from dropkit.migrate.table import CONVENTIONS

    return CONVENTIONS[OneOf(tuple(CONVENTIONS)).check("convention", name)]


def _own(known: Convention, axes: Any, rank: int) -> set[int]:
    """Return the axes that have coins of their own."""
    listed = [axes] if is_whole(axes) else axes
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise DropkitError("axes", "is one axis or a list of them", axes, "write e.g. [0, 1]")
    if known.axes_are == "shape":
        if len(listed) != rank:
            raise DropkitError("axes", f"is the shape of the mask, of {rank} axes", axes, "write 1 to share")
        return {i for i, size in enumerate(listed) if size != 1}
    for axis in listed:
        if not is_whole(axis) or not -rank <= axis < rank:
            raise DropkitError("axes", f"are whole numbers in [{-rank}, {rank - 1}]", axis, "count from 0")
    named = {int(axis) % rank for axis in listed}
    return named if known.axes_are == "own" else set(range(rank)) - named
