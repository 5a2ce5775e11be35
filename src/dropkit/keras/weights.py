"""Layers around a Keras layer: noise on its weights, and the residual branch that is dropped."""

from __future__ import annotations

from typing import Any

import keras

from dropkit.core import drop as core
from dropkit.core.check import DropkitError
from dropkit.keras.check import check_rate
from dropkit.keras.layer import Drop, registered
from dropkit.keras.layers import DropPath
from dropkit.methods.drop_connect import drop_connect
from dropkit.methods.embedding_dropout import embedding_dropout

__all__ = ["DropConnect", "EmbeddingDropout", "StochasticDepth"]

Tensor = Any


class _NoisyWeight(keras.layers.Wrapper):  # type: ignore[misc]  # Keras ships no types
    """A layer that computes with one noisy weight in each pass that draws, and as it is in every other."""

    weight: str

    def __init__(self, layer: Any, description: core.Drop, seed: int | None, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.noise = Drop(description, seed=seed, name="noise")

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Call the layer, with a weight that is dropped where `training` says so."""
        if not self.noise.draws(training):
            return self.layer(inputs)
        held = {id(variable): (variable, variable.value) for variable in self.layer.variables}
        noisy = getattr(self.layer, self.weight)
        held[id(noisy)] = noisy, self.noise.call(noisy.value, training=True)
        # The variables themselves do not change; all are named, since a scope hides one that is around it.
        with keras.StatelessScope(state_mapping=list(held.values()), collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:
            self.layer.add_loss(loss)
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return that of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        noise = self.noise.get_config()
        return dict(super().get_config(), rate=noise["rate"], seed=noise["seed"])


@registered
class DropConnect(_NoisyWeight):
    """A dense layer or a convolution whose weights are dropped one by one in each pass (Wan et al. 2013).

    y = (W kept / (1 - rate)) x + b, kept ~ Bernoulli(1 - rate) for each weight, one mask for the batch. The
    bias is kept, which the paper drops as well. The mask is `dropkit.mask(key, kernel.shape, Drop(rate))`.

    Args:
        layer: a layer with a `kernel`, e.g. `Dense` or `Conv2D`.
        rate: the probability that a weight is dropped, in [0, 1], or a schedule.
        seed: of the generator; without one, a number of Keras's.
        **kwargs: those of every Keras layer, e.g. `name`.

    Raises:
        DropkitError: rate lies outside [0, 1], or at the first call, the layer has no kernel.

    >>> layer = DropConnect(keras.layers.Dense(2), 0.5)
    >>> tuple(layer(keras.ops.ones((3, 4)), training=True).shape)
    (3, 2)
    """

    weight = "kernel"

    def __init__(self, layer: Any, rate: Any = 0.5, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(layer, drop_connect(check_rate(rate)), seed, **kwargs)

    def build(self, input_shape: Any = None) -> None:
        """Build the layer."""
        super().build(input_shape)
        if not isinstance(getattr(self.layer, "kernel", None), keras.Variable):
            mend = "wrap e.g. keras.layers.Dense or Conv2D"
            raise DropkitError("layer", "has a kernel", type(self.layer).__name__, mend)


@registered
class EmbeddingDropout(_NoisyWeight):
    """One coin a row of the vocabulary: a dropped word is gone wherever it occurs (Gal and Ghahramani 2016).

    Args:
        layer: a `keras.layers.Embedding`.
        rate: the probability that a word is dropped, in [0, 1], or a schedule.
        seed: of the generator; without one, a number of Keras's.
        **kwargs: those of every Keras layer, e.g. `name`.

    Raises:
        DropkitError: the layer is of another kind, or rate lies outside [0, 1].

    >>> layer = EmbeddingDropout(keras.layers.Embedding(10, 4), 0.1)
    >>> tuple(layer(keras.ops.ones((3, 5), "int32"), training=True).shape)
    (3, 5, 4)
    """

    weight = "embeddings"

    def __init__(self, layer: Any, rate: Any = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        # A layer that is loaded comes as its configuration.
        if not isinstance(layer, keras.layers.Embedding | dict):
            raise DropkitError("layer", "is a keras.layers.Embedding", type(layer), "wrap the table itself")
        super().__init__(layer, embedding_dropout(check_rate(rate)), seed, **kwargs)

    def compute_mask(self, inputs: Tensor, mask: Any = None) -> Any:
        """Return that of the table."""
        return self.layer.compute_mask(inputs, mask)


@registered
class StochasticDepth(keras.layers.Wrapper):  # type: ignore[misc]  # Keras ships no types
    """A residual branch that is dropped whole, for each sample: y = x + drop(layer(x)) (Huang et al. 2016).

    Args:
        layer: the branch; its output has the shape of its input.
        rate: the probability that the branch is dropped, in [0, 1], or a schedule. Over depth:
            `dropkit.depth_rates`.
        seed: of the generator; without one, a number of Keras's.
        **kwargs: those of every Keras layer, e.g. `name`.

    >>> block = StochasticDepth(keras.layers.Dense(4), 0.2)
    >>> tuple(block(keras.ops.ones((3, 4)), training=True).shape)
    (3, 4)
    """

    def __init__(self, layer: Any, rate: Any = 0.1, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        self.drop = DropPath(check_rate(rate), seed, name="drop")

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        """Return the input and what is left of the branch."""
        takes = {"training": training} if self.layer._call_has_training_arg else {}
        return inputs + self.drop(self.layer(inputs, **takes), training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape does not change."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        drop = self.drop.get_config()
        return dict(super().get_config(), rate=drop["rate"], seed=drop["seed"])
