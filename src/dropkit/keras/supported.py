"""Which Keras, and which of its backends, the layers stand on."""

from __future__ import annotations

import keras

from dropkit.core.check import DropkitError
from dropkit.keras.op import BACKENDS

__all__ = ["check_keras"]

_OLDEST = (3, 15)


def check_keras(version: str | None = None, backend: str | None = None) -> None:
    """Refuse a Keras that is too old, and a backend that has no training or is not known.

    >>> check_keras("2.15.0", "tensorflow")
    Traceback (most recent call last):
    dropkit.core.check.DropkitError: keras is 3.15 or newer, got '2.15.0'; pip install 'dropkit[keras]'
    """
    version, backend = version or keras.__version__, backend or keras.backend.backend()
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise DropkitError("keras", "is 3.15 or newer", version, "pip install 'dropkit[keras]'")
    if backend not in BACKENDS:
        mend = "set the environment variable KERAS_BACKEND before Keras is imported"
        raise DropkitError("backend", f"is one of {sorted(BACKENDS)}", backend, mend)
