"""The one place that finds the framework of an object: from its type, without importing any."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from dropkit.core.check import DropkitError

__all__ = ["backend", "is_keras", "keras_where_loaded", "model_backend"]

Kinds = Mapping[str, tuple[Callable[[Any], type | tuple[type, ...]], Callable[[], Any]]]


# Plain import statements, which torch.compile can follow; importlib's functions it cannot.
def _numpy() -> Any:
    from dropkit.core import reference

    return reference


def _jax() -> Any:
    from dropkit.arrays import jax

    return jax


def _tensorflow() -> Any:
    from dropkit.arrays import tensorflow

    return tensorflow


def _torch() -> Any:
    from dropkit.torch import backend

    return backend


def _keras() -> Any:
    from dropkit.keras import mode

    return mode


_ARRAYS: Kinds = {
    "numpy": (lambda numpy: numpy.ndarray, _numpy),
    "torch": (lambda torch: torch.Tensor, _torch),
    "jax": (lambda jax: jax.Array, _jax),
    "tensorflow": (lambda tensorflow: (tensorflow.Tensor, tensorflow.Variable), _tensorflow),
}
_MODELS: Kinds = {
    # On its torch backend a layer of Keras is a torch module as well.
    "keras": (lambda keras: keras.layers.Layer, _keras),
    "torch": (lambda torch: torch.nn.Module, _torch),
}


def backend(argument: str, x: object) -> Any:
    """Return our module for the framework that an array belongs to.

    Raises:
        DropkitError: it belongs to none that we know.

    >>> import numpy
    >>> backend("x", numpy.zeros(2)).__name__
    'dropkit.core.reference'
    """
    mend = "convert it, e.g. numpy.asarray(x, dtype='float32')"
    return _find(argument, x, _ARRAYS, "is a NumPy array or a tensor of torch, JAX or TensorFlow", mend)


def model_backend(argument: str, model: object) -> Any:
    """Return our module for the framework that a model belongs to.

    Raises:
        DropkitError: it belongs to none that we know.
    """
    return _find(argument, model, _MODELS, "is a torch module or a Keras model", "give the model itself")


def keras_where_loaded() -> Any:
    """Return Keras where somebody imported it, else None: nobody can have made a layer of it then."""
    return sys.modules.get("keras")


def is_keras(model: object) -> bool:
    """Return whether an object is a layer or a model of Keras.

    >>> is_keras(7)
    False
    """
    keras = keras_where_loaded()
    return keras is not None and isinstance(model, keras.layers.Layer)


def _find(argument: str, x: object, kinds: Kinds, rule: str, mend: str) -> Any:
    for name, (kind, ours) in kinds.items():
        # A framework that nobody imported cannot have made the object.
        loaded = sys.modules.get(name)
        if loaded is not None and isinstance(x, kind(loaded)):
            return ours()
    raise DropkitError(argument, rule, type(x), mend)
