"""The named layers, each a few lines over `Layer`. The twins of Keras's subclass the class of their name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import keras

from dropkit.core import drop as core
from dropkit.core.groups import Blocks, Pattern
from dropkit.core.mode import Scale
from dropkit.keras.check import KerasError, check_noise_shape, check_rate
from dropkit.keras.layer import Layer, registered
from dropkit.methods.alpha_dropout import alpha_dropout
from dropkit.methods.drop_path import drop_path
from dropkit.methods.dropout import dropout
from dropkit.methods.feature_alpha_dropout import feature_alpha_dropout
from dropkit.methods.feature_mask import Per, feature_mask
from dropkit.methods.gaussian_dropout import gaussian_dropout
from dropkit.methods.graph_drop_connect import graph_drop_connect
from dropkit.methods.head_dropout import head_dropout
from dropkit.methods.input_dropout import input_dropout
from dropkit.methods.locked_dropout import locked_dropout
from dropkit.methods.spatial_dropout import spatial_dropout
from dropkit.methods.token_dropout import token_dropout
from dropkit.methods.uniform_dropout import uniform_dropout

__all__ = [
    "AlphaDropout",
    "DropBlock1D",
    "DropBlock2D",
    "DropBlock3D",
    "DropPath",
    "Dropout",
    "FeatureAlphaDropout",
    "FeatureMask",
    "GaussianDropout",
    "GraphDropConnect",
    "HeadDropout",
    "InputDropout",
    "LockedDropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "TokenDropout",
    "UniformDropout",
]

Tensor = Any
_AXES = "abcdefghijklmnopqrstuvwxyz"


class _Shaped(Layer):
    """Dropout whose noise has a shape: 1 where entries share a draw."""

    def __init__(self, description: core.Drop, noise_shape: Any, seed: int | None, **kwargs: Any) -> None:
        self.noise_shape = check_noise_shape(noise_shape)
        if self.noise_shape is not None:
            description = replace(description, groups=_groups(self.noise_shape))
        super().__init__(description, seed, **kwargs)

    def law(self, inputs: Tensor) -> core.Drop:
        """Return the description, where the noise shape fits the input."""
        wanted, shape = self.noise_shape, tuple(inputs.shape)
        if wanted is not None:
            pairs = zip(wanted, shape, strict=False)
            fits = all(n in (None, 1) or size in (None, n) for n, size in pairs)
            if len(wanted) != len(shape) or not fits:
                rule = f"for an input of shape {shape} as many entries, each 1, None or the size of its axis"
                raise KerasError("noise_shape", rule, wanted, "write e.g. (None, 1, None)")
        return super().law(inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"noise_shape": self.noise_shape}


def _groups(noise_shape: tuple[int | None, ...]) -> Pattern:
    axes = _AXES[: len(noise_shape)]
    own = [axis for axis, size in zip(axes, noise_shape, strict=True) if size != 1]
    return Pattern(f"{' '.join(axes)} -> {' '.join(own)}")


@registered
class Dropout(_Shaped, keras.layers.Dropout):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.Dropout`: every entry has its own coin, or those that `noise_shape` joins share one.

    Args:
        rate: the probability that an entry is dropped, in [0, 1], or a schedule.
        noise_shape: e.g. `(None, 1, None)`: 1 where entries share a coin, None or the size where not.
        seed: of the generator; without one, a number of Keras's.
        scale: where the factor 1 / (1 - rate) goes: `"train"`, `"eval"` (Srivastava et al. 2014) or `"none"`.
        **kwargs: those of every Keras layer, e.g. `name`.

    Raises:
        DropkitError: in Keras's wording, if rate lies outside [0, 1] or noise_shape is no shape.

    >>> keras.ops.convert_to_numpy(Dropout(0.5, seed=1)(keras.ops.ones(4), training=True)).tolist()
    [2.0, 0.0, 2.0, 2.0]
    """

    def __init__(
        self,
        rate: Any,
        noise_shape: Any = None,
        seed: int | None = None,
        *,
        scale: Scale = "train",
        **kwargs: Any,
    ) -> None:
        super().__init__(dropout(check_rate(rate), scale), noise_shape, seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"scale": self.description.scale}


@registered
class AlphaDropout(_Shaped, keras.layers.AlphaDropout):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.AlphaDropout`: a dropped entry goes to SELU's floor; mean and variance stay."""

    def __init__(self, rate: Any, noise_shape: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(alpha_dropout(check_rate(rate)), noise_shape, seed, **kwargs)


@registered
class GaussianDropout(Layer, keras.layers.GaussianDropout):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.GaussianDropout`: every entry is multiplied by N(1, rate / (1 - rate)); 0 at rate 1."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(gaussian_dropout(check_rate(rate)), seed, **kwargs)


@registered
class UniformDropout(Layer):
    """Every entry is multiplied by a uniform number of mean 1 and variance rate / (1 - rate)."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(uniform_dropout(check_rate(rate)), seed, **kwargs)


@registered
class InputDropout(Layer):
    """Dropout of the input itself: every entry has its own coin."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(input_dropout(check_rate(rate)), seed, **kwargs)


class _Map(Layer):
    """Dropout on feature maps, whose channels come first or last."""

    spatial: ClassVar[int]

    def __init__(
        self, data_format: str | None, description: core.Drop, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(description, seed, **kwargs)
        self.data_format = data_format
        self.input_spec = keras.layers.InputSpec(ndim=self.spatial + 2)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"data_format": self.data_format}


def _format(data_format: str | None) -> str:
    known = ("channels_first", "channels_last")
    found = data_format or keras.config.image_data_format()
    if found not in known:
        raise KerasError("data_format", f"one of {known}", data_format, "write e.g. 'channels_last'")
    return found


class _Spatial(_Map):
    def __init__(self, rate: Any, data_format: str | None, seed: int | None, **kwargs: Any) -> None:
        data_format = _format(data_format)
        description = spatial_dropout(check_rate(rate), data_format == "channels_last")
        super().__init__(data_format, description, seed, **kwargs)


@registered
class SpatialDropout1D(_Spatial, keras.layers.SpatialDropout1D):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.SpatialDropout1D`: one coin a channel of `(batch, time, channels)`."""

    spatial = 1

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(rate, kwargs.pop("data_format", "channels_last"), seed, **kwargs)


@registered
class SpatialDropout2D(_Spatial, keras.layers.SpatialDropout2D):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.SpatialDropout2D`: one coin a channel of `(batch, height, width, channels)`."""

    spatial = 2

    def __init__(
        self, rate: Any, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, data_format, seed, **kwargs)


@registered
class SpatialDropout3D(_Spatial, keras.layers.SpatialDropout3D):  # type: ignore[misc]  # Keras ships no types
    """`keras.layers.SpatialDropout3D`: one coin a channel of `(batch, depth, height, width, channels)`."""

    spatial = 3

    def __init__(
        self, rate: Any, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(rate, data_format, seed, **kwargs)


@registered
class FeatureAlphaDropout(Layer):
    """Alpha dropout of whole channels of `(batch, ..., channels)`, or of `(batch, channels, ...)`."""

    def __init__(
        self, rate: Any, data_format: str | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        self.data_format = _format(data_format)
        description = feature_alpha_dropout(check_rate(rate))
        if self.data_format == "channels_last":
            description = replace(description, groups=Pattern("b ... c -> b c"))
        super().__init__(description, seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"data_format": self.data_format}


class _DropBlock(_Map):
    axes: ClassVar[str]

    def __init__(
        self,
        rate: Any,
        block_size: int | Sequence[int] = 7,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        couple_channels: bool = False,
        **kwargs: Any,
    ) -> None:
        data_format = _format(data_format)
        self.block_size = block_size if isinstance(block_size, int) else tuple(block_size)
        self.couple_channels = couple_channels
        over = self.axes
        given = f"b {over} c" if data_format == "channels_last" else f"b c {over}"
        # In the order of PyTorch's maps, so that a map has its mask wherever its channels stand.
        own = f"b {over}" if couple_channels else f"b c {over}"
        blocks = Blocks(self.block_size, over=over, pattern=f"{given} -> {own}")
        super().__init__(data_format, core.Drop(check_rate(rate), blocks), seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        own = {"block_size": self.block_size, "couple_channels": self.couple_channels}
        return super().get_config() | own


@registered
class DropBlock1D(_DropBlock):
    """Contiguous stretches of `(batch, time, channels)` are dropped. Arguments as in `DropBlock2D`."""

    spatial, axes = 1, "t"


@registered
class DropBlock2D(_DropBlock):
    """Contiguous squares of a feature map are dropped together (Ghiasi et al. 2018).

    Every entry, corner or centre, is dropped with the probability that is written.

    Args:
        rate: the probability that an entry is dropped, in [0, 1], or a schedule.
        block_size: side of a block in entries, or one for each axis.
        data_format: `"channels_last"` or `"channels_first"`; that of Keras's configuration by default.
        seed: of the generator; without one, a number of Keras's.
        couple_channels: whether all channels of a sample share their blocks.
        **kwargs: those of every Keras layer, e.g. `name`.

    >>> layer = DropBlock2D(0.1, block_size=3)
    >>> layer.description.groups.sides
    {'h': 3, 'w': 3}
    """

    spatial, axes = 2, "h w"


@registered
class DropBlock3D(_DropBlock):
    """Contiguous cubes of a feature map are dropped together. Arguments as in `DropBlock2D`."""

    spatial, axes = 3, "d h w"


@registered
class DropPath(Layer):
    """Stochastic depth: a residual branch is dropped whole, for each sample or for the batch.

    Args:
        rate: the probability that the branch is dropped, in [0, 1], or a schedule. Over depth:
            `dropkit.depth_rates`.
        seed: of the generator; without one, a number of Keras's.
        per: one coin a `"sample"`, or one for the whole `"batch"`.
        scale_by_keep: whether a kept branch grows by 1 / (1 - rate).
        **kwargs: those of every Keras layer, e.g. `name`.

    >>> DropPath(0.1).description.groups.pattern
    'b ... -> b'
    """

    def __init__(
        self,
        rate: Any = 0.1,
        seed: int | None = None,
        *,
        per: Literal["sample", "batch"] = "sample",
        scale_by_keep: bool = True,
        **kwargs: Any,
    ) -> None:
        self.per, self.scale_by_keep = per, scale_by_keep
        super().__init__(drop_path(check_rate(rate), per, scale_by_keep), seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"per": self.per, "scale_by_keep": self.scale_by_keep}


@registered
class LockedDropout(Layer):
    """One coin a feature of `(batch, time, features)`, the same at every step of a sequence."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(locked_dropout(check_rate(rate)), seed, **kwargs)


@registered
class TokenDropout(Layer):
    """One coin a position of `(batch, time, features)`: whole tokens are dropped."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(token_dropout(check_rate(rate)), seed, **kwargs)


@registered
class HeadDropout(Layer):
    """One coin a head of `(batch, heads, ...)`."""

    def __init__(self, rate: Any, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(head_dropout(check_rate(rate)), seed, **kwargs)


@registered
class FeatureMask(Layer):
    """One coin a column of `(nodes, features)`, a row or an entry; what is kept is not scaled.

    Args:
        rate: the probability that an entry is masked, in [0, 1], or a schedule.
        seed: of the generator; without one, a number of Keras's.
        per: one coin a `"column"`, a `"row"` or an `"entry"`.
        **kwargs: those of every Keras layer, e.g. `name`.
    """

    def __init__(self, rate: Any, seed: int | None = None, *, per: Per = "column", **kwargs: Any) -> None:
        self.per = per
        super().__init__(feature_mask(check_rate(rate), per), seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"per": self.per}


@registered
class GraphDropConnect(Layer):
    """One coin for each edge and block of channels of `(edges, channels)`, or for each channel.

    Args:
        rate: the probability that an edge is dropped for a channel, in [0, 1], or a schedule.
        blocks: the number of equal blocks of channels; None for a coin for each channel.
        seed: of the generator; without one, a number of Keras's.
        **kwargs: those of every Keras layer, e.g. `name`.
    """

    def __init__(self, rate: Any, blocks: int | None = None, seed: int | None = None, **kwargs: Any) -> None:
        self.blocks = blocks
        super().__init__(graph_drop_connect(check_rate(rate), blocks), seed, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as plain data."""
        return super().get_config() | {"blocks": self.blocks}
