"""Concrete dropout for Keras: a wrapper of a layer whose rate is learned with its weights."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import keras

from dropkit.core import drop as core
from dropkit.core.check import DropkitError
from dropkit.core.groups import Groups, Pattern
from dropkit.core.rate import Learned
from dropkit.keras.check import KerasError
from dropkit.keras.layer import Layer, registered
from dropkit.keras.op import next_words, unit
from dropkit.methods import concrete_dropout as law

__all__ = ["ConcreteDropout"]

Tensor = Any
_CONV = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# TensorFlow's logaddexp has a wrong slope where both are equal: at a rate of 1 / 2.
_OPS = SimpleNamespace(
    exp=keras.ops.exp,
    log=keras.ops.log,
    logaddexp=lambda a, b: a + keras.ops.softplus(b - a),
)


@registered
class ConcreteDropout(keras.layers.Wrapper):  # type: ignore[misc]  # Keras ships no types
    """A dense layer or a convolution whose input is dropped at a rate that training finds.

    y = layer(x z / (1 - p)) with z = sigmoid(-(logit p + logit u) / t): relaxed Bernoulli noise of Gal et al.
    2017, for each input of a dense layer and for each whole channel of a convolution. `fit` minimises the
    penalty that goes with it by itself, as this layer adds it to the losses; leave regularizers of these
    weights and weight decay out, which would count the prior twice.

    Args:
        layer: a `Dense`, `Conv1D`, `Conv2D` or `Conv3D`.
        rows: N, the number of rows of the training data: the more there are, the lower the rate.
        rate: where the rate p begins, inside of (0, 1).
        seed: of the generator; without one, a number of Keras's.
        length_scale: l of the prior on the weights, above 0; the authors' example has 1e-4.
        precision: tau, the inverse variance of the targets' noise, where the loss is a mean squared error;
            None where it is a negative log-likelihood, e.g. cross-entropy.
        temperature: t, above 0. The authors' code takes 2 / 3 for convolutions.
        **kwargs: those of every Keras layer, e.g. `name`.

    Shapes: as those of the layer.

    Raises:
        DropkitError: an argument is out of range, or the layer is of another kind.

    >>> layer = ConcreteDropout(keras.layers.Dense(2), rows=1000)
    >>> tuple(layer(keras.ops.ones((3, 4)), training=True).shape), round(layer.rate, 3), len(layer.losses)
    ((3, 2), 0.1, 1)
    """

    def __init__(
        self,
        layer: Any,
        rows: int,
        rate: float = 0.1,
        seed: int | None = None,
        *,
        length_scale: float = 1e-4,
        precision: float | None = None,
        temperature: float = 0.1,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, (keras.layers.Dense, *_CONV)):
            rule = "is a keras.layers.Dense, Conv1D, Conv2D or Conv3D"
            raise DropkitError("layer", rule, type(layer).__name__, "wrap the layer that takes the input")
        super().__init__(layer, **kwargs)
        self.rows = law.ROWS.check("rows", rows)
        self.length_scale = law.LENGTH.check("length_scale", length_scale)
        self.precision = None if precision is None else law.PRECISION.check("precision", precision)
        start, temperature = _start(rate), law.TEMPERATURE.check("temperature", temperature)
        self.noise = _Relaxed(start, _groups(layer), temperature, seed, name="noise")
        self.supports_masking = True

    @property
    def rate(self) -> float:
        """The probability that an input is dropped, now."""
        return self.noise.rate

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Drop inputs softly in training, then call the layer.

        Args:
            inputs: what the wrapped layer takes.
            training: whether to draw; `fit` says so by itself.
        """
        self.add_loss(self.penalty())
        return self.layer(self.noise(inputs, training=training))

    def penalty(self) -> Tensor:
        """Return the term of the loss; see `dropkit.methods.concrete_dropout.penalty`."""
        kernel = self.layer.kernel
        inputs = kernel.shape[-2] * getattr(self.layer, "groups", 1)
        squares = keras.ops.sum(keras.ops.square(keras.ops.cast(kernel, "float32")))
        logit = keras.ops.cast(self.noise.logit, "float32")
        return law.penalty(_OPS, logit, squares, inputs, self.rows, self.length_scale, self.precision)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return that of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data, with the rate where it began; where it is now is a weight."""
        own = {"rows": self.rows, "rate": self.noise.start, "seed": self.noise.seed}
        own |= {"length_scale": self.length_scale, "precision": self.precision}
        return dict(super().get_config(), **own, temperature=self.noise.temperature)


class _Relaxed(Layer):
    """The noise alone: its logit, its generator, and whether it draws."""

    def __init__(
        self, start: float, groups: Groups, temperature: float, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(core.Drop(Learned(start), groups), seed, **kwargs)
        self.start, self.temperature = start, temperature
        initial = keras.initializers.Constant(math.log(start) - math.log1p(-start))
        self.logit = self.add_weight(
            name="logit", shape=(), dtype="float32", initializer=initial, autocast=False
        )

    @property  # type: ignore[misc]  # it is learned, not set
    def rate(self) -> float:
        """The probability that an entry is dropped, now."""
        return float(keras.ops.sigmoid(keras.ops.stop_gradient(self.logit.value)))

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Multiply by the relaxed mask where the layer draws."""
        if not self.draws(training):
            return inputs
        v, rest = unit(inputs, self.description.groups, next_words(self.seed_generator))
        m = law.factor(_OPS, v, keras.ops.cast(self.logit, v.dtype), self.temperature, rest)
        return keras.ops.cast(keras.ops.cast(inputs, v.dtype) * m, inputs.dtype)


def _start(rate: Any) -> float:
    try:
        return law.START.check("rate", rate)
    except DropkitError:
        rule = "a float value above 0 and below 1"
        raise KerasError("rate", rule, rate, "begin e.g. at 0.1") from None


def _groups(layer: Any) -> Pattern:
    """Every input of a dense layer; every channel of a convolution."""
    if not isinstance(layer, _CONV):
        return Pattern("...")
    first = layer.data_format == "channels_first"
    return Pattern("b c ... -> b c" if first else "b ... c -> b c")
