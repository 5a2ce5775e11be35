"""The one Keras layer that carries any description; every named layer is a shell over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras

from dropkit.core import drop as core
from dropkit.core import groups as grouping
from dropkit.core import rate as rates
from dropkit.core.check import DropkitError
from dropkit.core.groups import Groups
from dropkit.core.key import Key
from dropkit.core.mode import Mode, Scale
from dropkit.core.noise import Noise
from dropkit.core.schedule import Schedule
from dropkit.keras.check import KerasError, check_rate
from dropkit.keras.op import evaluate, key_of, next_words, perturb

__all__ = ["Drop", "Layer", "registered"]

Tensor = Any
registered = keras.saving.register_keras_serializable(package="dropkit")


class Layer(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A dropout layer: a description, Keras's generator of seeds, and whether it draws now.

    It draws where Keras says `training`, unless `dropkit.mode` overrides that. A rate on a schedule and its
    step live in weights that do not train, so nothing is compiled anew when they move.
    """

    def __init__(self, description: core.Drop, seed: int | None = None, **kwargs: Any) -> None:
        keras.layers.Layer.__init__(self, **kwargs)  # Keras's own dropout classes would take their rate first
        self.description, self.seed = description, seed
        self._plain = description.at(0)
        self.forced_mode: Mode | None = None
        if self.scheduled:
            self._moving = self._held("rate", "float32", description.rate(0))
            self._step = self._held("step", "int32", 0)
        if self.can_draw:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        # A subclass that builds says itself when it is done.
        self.built = type(self).build is keras.layers.Layer.build

    def _held(self, name: str, dtype: str, start: float) -> Any:
        initial = keras.initializers.Constant(start)
        return self.add_weight(
            name=name, shape=(), dtype=dtype, initializer=initial, trainable=False, autocast=False
        )

    @property
    def scheduled(self) -> bool:
        """Whether the rate is a schedule."""
        return isinstance(self.description.rate, Schedule)

    @property
    def rate(self) -> Any:
        """The probability that an entry is dropped: as given, or, on a schedule, what it is now."""
        return float(self._moving) if self.scheduled else self.description.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if self.scheduled or not hasattr(self, "seed_generator"):
            rule = "is moved by its schedule, and stays where it was made with 0"
            raise KerasError("rate", f"no new value: it {rule}", rate, "make a new layer")
        self.description = replace(self.description, rate=check_rate(rate))
        self._plain = self.description

    @property
    def rate_now(self) -> Any:
        """The rate for a calculation: a number, or on a schedule the value of the weight that holds it."""
        return self._moving.value if self.scheduled else self.description.rate

    @property
    def can_draw(self) -> bool:
        """Whether a call that draws could change anything: False at a rate of 0."""
        return bool(self.description.rate != 0)

    @property
    def next_key(self) -> Key:
        """The key of the next call that draws: `dropkit.mask(layer.next_key, shape, layer.description)`."""
        if not hasattr(self, "seed_generator"):
            raise KerasError("rate", "a rate above 0 where a key is asked for", self.rate, "make a new layer")
        return key_of(keras.ops.convert_to_numpy(self.seed_generator.state.value))

    @property
    def step(self) -> int | None:
        """The step that a scheduled rate stands at; None where there is no schedule."""
        return int(self._step) if self.scheduled else None

    def move_to(self, step: int) -> None:
        """Bring a scheduled rate to a step, a number of optimizer steps taken so far."""
        if not self.scheduled:
            raise DropkitError("layer", "has a rate on a schedule", self.description.rate, "give it one")
        self._moving.assign(self.description.rate(step))
        self._step.assign(step)

    def force(self, mode: Mode | None) -> None:
        """Draw or not whatever Keras says of training; None leaves it to Keras again."""
        self.forced_mode = mode

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Drop entries of `inputs` in training, apply the eval map otherwise.

        Args:
            inputs: a tensor of a floating type.
            training: whether to draw; `fit` says so by itself.
        """
        if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(inputs.dtype)):
            raise KerasError("inputs", "a tensor of a floating type", inputs.dtype, "cast it")
        drop, rate = self.law(inputs), self.rate_now if self.scheduled else None
        if not self.draws(training):
            return evaluate(inputs, drop, rate)
        return perturb(inputs, drop, next_words(self.seed_generator), rate)

    def draws(self, training: bool | None) -> bool:
        """Return whether a call draws."""
        wanted = training if self.forced_mode is None else self.forced_mode != "eval"
        return bool(wanted) and self.can_draw

    def law(self, inputs: Tensor) -> core.Drop:
        """Return the description for an input, with a number in the place of a schedule."""
        return self._plain

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape does not change."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data; a rate of its own kind as an object that names it."""
        own = {"rate": rates.to_json(self.description.rate), "seed": self.seed}
        return dict(keras.layers.Layer.get_config(self), **own)


@registered
class Drop(Layer):
    """The layer for any description: y = m(u) x + b(u), one draw u for each group of entries.

    Args:
        rate: a rate (a number in [0, 1], a schedule, a `PerAxis`), or a whole `dropkit.Drop`.
        pattern: which entries share a draw, e.g. `"b h w c -> b c"`; or `Blocks`, `KofN`.
        noise: `"bernoulli"`, `"alpha"`, `"gaussian"` or `"uniform"`.
        scale: where the factor 1 / (1 - rate) goes: `"train"`, `"eval"` or `"none"`.
        seed: of the generator; without one, a number of Keras's.
        sizes: sizes of axes that the pattern leaves open, by name.
        **kwargs: those of every Keras layer, e.g. `name`.

    Raises:
        DropkitError: a part is wrong, or two parts do not go together.

    >>> layer = Drop(0.5, "b t d -> b d", seed=7)
    >>> layer(keras.ops.ones((1, 2, 3)), training=True).shape == (1, 2, 3)
    True
    """

    def __init__(
        self,
        rate: Any,
        pattern: str | Groups | Mapping[str, Any] = "...",
        *,
        noise: str | Noise = "bernoulli",
        scale: Scale = "train",
        seed: int | None = None,
        sizes: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(pattern, Mapping):
            pattern = grouping.from_json(pattern)
        if not isinstance(rate, core.Drop):
            rate = core.Drop.of(check_rate(rate), pattern, noise, scale, sizes or {})
        super().__init__(rate, seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        drop = self.description
        own = {"pattern": drop.groups.to_json(), "noise": drop.noise.name, "scale": drop.scale}
        return super().get_config() | own
