"""Errors in Keras's wording, with the argument, the rule, the value and the mend of ours."""

from __future__ import annotations

from typing import Any

from dropkit.core import rate as rates
from dropkit.core.check import RATE, DropkitError
from dropkit.core.rate import Learned, PerAxis, Rate
from dropkit.core.schedule import Schedule

__all__ = ["KerasError", "check_noise_shape", "check_rate"]

# Keras makes errors of a call anew from a message, which leaves RuntimeErrors of those with more arguments.
# With this it raises them as they are.
DropkitError._keras_call_info_injected = True  # type: ignore[attr-defined]  # it is Keras's


class KerasError(DropkitError):
    """An argument of a Keras layer was refused, in the words that Keras has for it.

    >>> raise KerasError("rate", "a float value between 0 and 1", 1.5, "write e.g. 0.5")
    Traceback (most recent call last):
    dropkit.keras.check.KerasError: Invalid value received for argument `rate`. Expected a float value
    between 0 and 1. Received: rate=1.5; write e.g. 0.5
    """

    def __init__(self, argument: str, rule: str, value: object, mend: str) -> None:
        super().__init__(argument, rule, value, mend)
        text = f"Invalid value received for argument `{argument}`. Expected {rule}. "
        self.args = (f"{text}Received: {argument}={value}; {mend}",)


def check_rate(rate: Any) -> Rate | None:
    """Return a rate as the core takes it: a number in [0, 1], a schedule, a `PerAxis`, or its JSON.

    >>> check_rate({"kind": "early", "rate": 0.1, "steps": 5})
    Early(rate=0.1, steps=5)
    """
    if isinstance(rate, dict):
        return rates.from_json(rate)
    if isinstance(rate, Learned):
        rule = "a rate that this layer can hold"
        raise KerasError("rate", rule, rate, "learn it with dropkit.keras.ConcreteDropout")
    if rate is None or isinstance(rate, PerAxis | Schedule):
        return rate
    try:
        return RATE.check("rate", rate)
    except DropkitError:
        mend = "write the share that is dropped, e.g. 0.5"
        raise KerasError("rate", "a float value between 0 and 1", rate, mend) from None


def check_noise_shape(noise_shape: Any) -> tuple[int | None, ...] | None:
    """Return a noise shape as a tuple: 1 where entries share a draw, None or the size where they do not.

    >>> check_noise_shape([None, 1, 8])
    (None, 1, 8)
    """
    if noise_shape is None:
        return None
    mend = "write e.g. (None, 1, None)"
    try:
        sizes = () if isinstance(noise_shape, str) else tuple(noise_shape)
    except TypeError:
        sizes = ()
    if not sizes:
        # Keras has both wordings.
        rule = "a tuple or list of integers" if isinstance(noise_shape, str) else "an iterable of integers"
        raise KerasError("noise_shape", rule, noise_shape, mend)
    for place, size in enumerate(sizes):
        found = f"{noise_shape}: {size!r} at index {place}"
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool):
            raise KerasError("noise_shape", "all elements to be integers or None", found, mend)
        if size <= 0:
            raise KerasError("noise_shape", "all dimensions to be positive integers or None", found, mend)
    return sizes
