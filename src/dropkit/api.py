"""The functions that serve every framework alike; which one is found from the type of the object."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from dropkit._dispatch import backend, model_backend
from dropkit.core.bind import WHOLE, Window
from dropkit.core.mode import MODE, Mode, Scale
from dropkit.core.noise import Noise

__all__ = ["drop", "mode"]


def drop(
    x: Any,
    rate: Any,
    pattern: Any = "...",
    *,
    noise: str | Noise = "bernoulli",
    scale: Scale = "train",
    mode: Mode = "train",
    key: Any = None,
    window: Window = WHOLE,
    **sizes: int,
) -> Any:
    """Drop entries of an array or tensor: y = m(u) x + b(u), one draw u for each group of entries.

    Args:
        x: a NumPy array or a tensor of torch, JAX or TensorFlow, of a real floating type.
        rate: the probability that an entry is dropped, in [0, 1]; or a `PerAxis`.
        pattern: which entries share a draw, e.g. `"b c h w -> b c"`; or `Blocks`, `KofN`.
        noise: `"bernoulli"`, `"alpha"`, `"gaussian"` or `"uniform"`.
        scale: where the factor 1 / (1 - rate) goes: `"train"`, `"eval"` or `"none"`.
        mode: `"train"` and `"mc"` draw, `"eval"` applies the noise's eval map: for scale "train" it
            returns x itself.
        key: the address of the draws: an int or a `dropkit.Key`, which give the same mask on every framework,
            an int64 tensor of torch or TensorFlow, or one of JAX's own keys. Without one, tensors take one
            number from their framework's generator and arrays take fresh entropy; under a transformation of
            JAX it must be given.
        window: the place of x inside a larger array.
        **sizes: sizes of axes that the pattern leaves open, by name.

    Returns:
        An array of the shape and type of x. With numbers and text as arguments this compiles whole; a
        `PerAxis`, `Blocks` or `KofN` has to be made outside of the compiled function.

    Raises:
        DropkitError: an argument is out of range or does not fit x.

    >>> import numpy
    >>> drop(numpy.ones((2, 4), "float32"), 0.5, "b t -> b", key=1)
    array([[2., 2., 2., 2.],
           [0., 0., 0., 0.]], dtype=float32)
    """
    return backend("x", x).drop(x, rate, pattern, noise, scale, sizes, mode, key, window)


def mode(model: Any, mode: Mode) -> AbstractContextManager[None]:
    """Switch the dropout of a model, and nothing else, for the length of a `with` block.

    `"mc"` makes every dropout draw and touches nothing else: Monte Carlo dropout after `model.eval()`, which
    puts BatchNorm and all the rest into eval; in a model that trains they go on training. All states come
    back afterwards, also after an exception.

    Args:
        model: a torch module, or a Keras model on any backend.
        mode: `"train"`, `"eval"` or `"mc"`.

    Raises:
        DropkitError: the model has no source of dropout that could be switched, or none that draws in the
            mode: all rates are 0, or its methods change no forward pass by chance, as Masksembles.
    """
    switch: Callable[[Any, str], AbstractContextManager[None]] = model_backend("model", model).switch
    return switch(model, MODE.check("mode", mode))
