"""What a stranger provides to have a method examined: what it declares, and what it does to NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from dropkit.core import reference
from dropkit.core.bind import Window
from dropkit.core.check import OneOf
from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.method import Method
from dropkit.core.mode import Mode
from dropkit.testing.declared import Declared, Shapes, shapes_for

__all__ = ["Backward", "Built", "Forward", "Subject", "numpy_subject", "of", "subject_of"]

Array = np.ndarray[Any, Any]
_WHOLE_ARRAY = Window()


class Forward(Protocol):
    """y = m x + b. Without a key the method draws afresh; with one it draws at that address."""

    def __call__(
        self, x: Array, key: Key | None, mode: Mode = "train", window: Window = _WHOLE_ARRAY
    ) -> Array:
        """Return y, of the shape and type of x; x itself in mode "eval" where that is the identity."""


class Backward(Protocol):
    """The gradient with respect to x of sum(grad * y), under the draws of the key."""

    def __call__(self, x: Array, grad: Array, key: Key) -> Array:
        """Return m * grad."""


@dataclass(frozen=True)
class Built:
    """A method at one rate and one step: its forward and backward pass, and a look at whatever it keeps.

    Args:
        forward: y = m x + b.
        backward: its gradient.
        state: everything that the method keeps between calls, as plain data: an eval call must not move it.
    """

    forward: Forward
    backward: Backward
    state: Callable[[], Any] = tuple


@dataclass(frozen=True)
class Subject:
    """A method under examination.

    Args:
        name: what reports call it.
        build: makes the method at a rate (a number, or a schedule and the step it has come to).
        declare: says what the method is to do at a rate to an array of some shape.
        shapes: shapes to examine it at; see `Shapes`.
        drop: its description at a rate, if it follows dropkit's addresses: then its masks must equal the
            reference's bit for bit. None for a method with a generator of its own.
        windows: whether it can be given a part of a larger array.
        schedules: whether `build` takes a schedule.
        identity: whether forward can return the very object that it was given.
        dtypes: types that it takes.
        waived: traits that it does not have, or single checks by name, each with the reason.
    """

    name: str
    build: Callable[[Any, int], Built]
    declare: Callable[[float, tuple[int, ...]], Declared]
    shapes: Shapes
    drop: Callable[[Any], Drop] | None = None
    windows: bool = True
    schedules: bool = True
    identity: bool = True
    dtypes: tuple[str, ...] = ("float16", "float32", "float64")
    waived: Mapping[str, str] = field(default_factory=dict)

    def at(self, rate: Any, step: int = 0) -> Built:
        """Return the method at a rate."""
        return self.build(rate, step)

    def but(self, name: str, defect: Callable[[Built, Any], Built]) -> Subject:
        """Return the subject with something changed in every method it builds: a defect to be found."""

        def build(rate: Any, step: int) -> Built:
            return defect(self.build(rate, step), rate)

        return replace(self, name=name, build=build)


def subject_of(
    name: str,
    drop: Callable[[Any], Drop],
    build: Callable[[Drop], Built],
    shapes: Shapes | None = None,
    waived: Mapping[str, str] | None = None,
    **facts: Any,
) -> Subject:
    """Return the subject of a description whose masks follow dropkit's addresses.

    Args:
        name: what reports call it.
        drop: its description at a rate.
        build: makes the method from a description whose rate is a number.
        shapes: shapes to examine it at; by default they follow from the pattern.
        waived: traits that it does not have, each with the reason.
        **facts: further fields of `Subject`.
    """

    def declare(rate: float, shape: tuple[int, ...]) -> Declared:
        return Declared.of(drop(rate), shape)

    def built(rate: Any, step: int = 0) -> Built:
        return build(drop(rate).at(step))

    sizes = shapes or shapes_for(drop(0.5).groups)
    return Subject(name, built, declare, sizes, drop, waived=dict(waived or {}), **facts)


def numpy_subject(drop: Callable[[Any], Drop], name: str = "numpy") -> Subject:
    """Return the NumPy reference of a description as a subject.

    >>> numpy_subject(lambda rate: Drop(rate, "b t -> b")).at(0.5).forward(np.ones((2, 3)), Key(0))
    array([[2., 2., 2.],
           [0., 0., 0.]])
    """
    return subject_of(name, drop, _reference)


def of(method: Method, backend: str = "numpy") -> Subject:
    """Return a method of the catalogue as a subject.

    Args:
        method: its record.
        backend: `"numpy"` for the reference, `"torch"` for its layer.

    Raises:
        DropkitError: the backend is unknown.
    """
    if OneOf(("numpy", "torch")).check("backend", backend) == "torch":
        from dropkit.testing.torch import method_subject

        return method_subject(method)
    subject = numpy_subject(lambda rate: method.drop(rate=rate), f"{method.name} on numpy")
    return replace(subject, waived=method.waived)


def _reference(drop: Drop) -> Built:
    def forward(x: Array, key: Key | None, mode: Mode = "train", window: Window = _WHOLE_ARRAY) -> Array:
        return reference.apply(x, drop, key, mode, window)

    def backward(x: Array, grad: Array, key: Key) -> Array:
        rate = reference.entry_rate(drop, x.shape)
        back = reference.transform(grad, drop, key.words, rate, linear=True)
        return np.asarray(back, grad.dtype)

    return Built(forward, backward)
