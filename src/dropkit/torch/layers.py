"""The named layers, each a few lines over `Layer`. The twins of torch.nn subclass the class of their name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from dropkit.core import drop as core
from dropkit.core.bind import WHOLE, Window
from dropkit.core.check import DropkitError, check_kind
from dropkit.core.groups import Pattern
from dropkit.core.mode import Scale
from dropkit.methods.alpha_dropout import alpha_dropout
from dropkit.methods.drop_block import drop_block, drop_block_3d
from dropkit.methods.drop_path import drop_path
from dropkit.methods.dropout import dropout
from dropkit.methods.feature_alpha_dropout import feature_alpha_dropout
from dropkit.methods.gaussian_dropout import gaussian_dropout
from dropkit.methods.head_dropout import head_dropout
from dropkit.methods.input_dropout import input_dropout
from dropkit.methods.locked_dropout import locked_dropout
from dropkit.methods.spatial_dropout import spatial_dropout
from dropkit.methods.uniform_dropout import uniform_dropout
from dropkit.methods.zoneout import zoneout
from dropkit.torch.functional import FEATURE_PATTERNS, ODD_PATTERN, feature_pattern
from dropkit.torch.layer import Layer, Rate, rate_of
from dropkit.torch.run import law_of

__all__ = [
    "AlphaDropout",
    "DropBlock2d",
    "DropBlock3d",
    "DropPath",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "FeatureAlphaDropout",
    "GaussianDropout",
    "HeadDropout",
    "InputDropout",
    "LockedDropout",
    "SpatialDropout",
    "UniformDropout",
    "Zoneout",
]

Tensor = torch.Tensor


class Dropout(Layer, nn.Dropout):
    """`torch.nn.Dropout`: every entry has its own coin.

    Args:
        p: the probability that an entry is dropped, in [0, 1], or a schedule.
        inplace: overwrite the input.
        scale: where the factor 1 / (1 - p) goes: `"train"`, `"eval"` (Srivastava et al. 2014) or `"none"`.

    Raises:
        DropkitError: p lies outside [0, 1], or scale is unknown.

    >>> Dropout(0.2)
    Dropout(p=0.2, inplace=False)
    """

    def __init__(self, p: Rate = 0.5, inplace: bool = False, *, scale: Scale = "train") -> None:
        super().__init__(dropout(rate_of(p), scale), inplace)


class _FeatureDropout(Layer):
    """Channel-wise dropout, with torch's reading of odd ranks."""

    spatial: ClassVar[int]

    def __init__(self, p: Rate = 0.5, inplace: bool = False, *, scale: Scale = "train") -> None:
        super().__init__(core.Drop(rate_of(p), FEATURE_PATTERNS[self.spatial], scale=scale), inplace)

    def describe(self, description: core.Drop) -> None:
        super().describe(description)
        self._odd = replace(self._plain, groups=Pattern(ODD_PATTERN))
        self._odd_law = law_of(self._odd)

    def _law_for(self, input: Tensor, window: Window = WHOLE) -> str:
        if feature_pattern(self.spatial, input.dim()) != ODD_PATTERN:
            return super()._law_for(input, window)
        return self._odd_law if window is WHOLE else law_of(self._odd, window)


class Dropout1d(_FeatureDropout, nn.Dropout1d):
    """`torch.nn.Dropout1d`: one coin a channel of (N, C, L) or (C, L). Arguments as in `Dropout`."""

    spatial = 1


class Dropout2d(_FeatureDropout, nn.Dropout2d):
    """`torch.nn.Dropout2d`: one coin a channel of (N, C, H, W). Arguments as in `Dropout`.

    As in torch, an input of three axes is read as (N, C, L), with a warning.
    """

    spatial = 2


class Dropout3d(_FeatureDropout, nn.Dropout3d):
    """`torch.nn.Dropout3d`: one coin a channel of (N, C, D, H, W) or (C, D, H, W).

    Arguments as in `Dropout`.
    """

    spatial = 3


class AlphaDropout(Layer, nn.AlphaDropout):
    """`torch.nn.AlphaDropout`: a dropped entry goes to SELU's floor; mean and variance stay.

    `inplace` is honoured.
    """

    def __init__(self, p: Rate = 0.5, inplace: bool = False) -> None:
        super().__init__(alpha_dropout(rate_of(p)), inplace)


class FeatureAlphaDropout(Layer, nn.FeatureAlphaDropout):
    """`torch.nn.FeatureAlphaDropout`: alpha dropout of whole channels of (N, C, ...).

    `inplace` is honoured.
    """

    def __init__(self, p: Rate = 0.5, inplace: bool = False) -> None:
        super().__init__(feature_alpha_dropout(rate_of(p)), inplace)


class GaussianDropout(Layer):
    """Every entry is multiplied by N(1, p / (1 - p)).

    >>> GaussianDropout(0.2)
    GaussianDropout(p=0.2, inplace=False)
    """

    def __init__(self, p: Rate = 0.5, inplace: bool = False) -> None:
        super().__init__(gaussian_dropout(rate_of(p)), inplace)


class UniformDropout(Layer):
    """Every entry is multiplied by a uniform number of mean 1 and variance p / (1 - p)."""

    def __init__(self, p: Rate = 0.5, inplace: bool = False) -> None:
        super().__init__(uniform_dropout(rate_of(p)), inplace)


class SpatialDropout(Layer):
    """One coin a channel of (N, C, ...), or of (N, ..., C) with `channels_last`, for any number of axes."""

    def __init__(
        self, p: Rate = 0.5, inplace: bool = False, *, channels_last: bool = False, scale: Scale = "train"
    ) -> None:
        super().__init__(spatial_dropout(rate_of(p), channels_last, scale), inplace)


class DropPath(Layer):
    """Stochastic depth: a residual branch is dropped whole, for each sample or for the batch.

    Args:
        p: the probability that the branch is dropped, in [0, 1], or a schedule. Over depth:
            `dropkit.depth_rates`.
        inplace: overwrite the input.
        per: one coin a `"sample"`, or one for the whole `"batch"`.
        scale_by_keep: whether a kept branch grows by 1 / (1 - p).

    >>> DropPath(0.1)
    DropPath(p=0.1, inplace=False)
    """

    def __init__(
        self,
        p: Rate = 0.1,
        inplace: bool = False,
        *,
        per: Literal["sample", "batch"] = "sample",
        scale_by_keep: bool = True,
    ) -> None:
        super().__init__(drop_path(rate_of(p), per, scale_by_keep), inplace)


class LockedDropout(Layer):
    """One mask for all time steps of a sequence (batch, time, features), or (time, batch, features)."""

    def __init__(
        self, p: Rate = 0.5, inplace: bool = False, *, batch_first: bool = True, scale: Scale = "train"
    ) -> None:
        super().__init__(locked_dropout(rate_of(p), batch_first, scale), inplace)


class HeadDropout(Layer):
    """One coin an attention head of (batch, heads, ...)."""

    def __init__(self, p: Rate = 0.1, inplace: bool = False, *, scale: Scale = "train") -> None:
        super().__init__(head_dropout(rate_of(p), scale), inplace)


class InputDropout(Layer):
    """Dropout of the network's input, with a rate of its own."""

    def __init__(self, p: Rate = 0.2, inplace: bool = False, *, scale: Scale = "train") -> None:
        super().__init__(input_dropout(rate_of(p), scale), inplace)


class _DropBlock(Layer):
    """What both have in common: what they show."""

    def extra_repr(self) -> str:
        """Show the block too."""
        return f"{super().extra_repr()}, block_size={self.description.groups.size}"


class DropBlock2d(_DropBlock):
    """Squares of neighbouring entries of (N, C, H, W) are dropped together, with rate p at every entry.

    Args:
        p: the probability that an entry is dropped, in [0, 1], or a schedule.
        block_size: side of a block in entries, or (height, width).
        inplace: overwrite the input.
        couple_channels: whether the channels of a sample share their blocks.

    >>> DropBlock2d(0.1, block_size=5)
    DropBlock2d(p=0.1, inplace=False, block_size=(5, 5))
    """

    def __init__(
        self,
        p: Rate = 0.1,
        block_size: int | tuple[int, int] = 7,
        inplace: bool = False,
        *,
        couple_channels: bool = False,
        scale: Scale = "train",
    ) -> None:
        super().__init__(drop_block(rate_of(p), block_size, couple_channels, scale), inplace)


class DropBlock3d(_DropBlock):
    """Cubes of neighbouring entries of (N, C, D, H, W) are dropped together, with rate p at every entry.

    Args:
        p: the probability that an entry is dropped, in [0, 1], or a schedule.
        block_size: side of a block in entries, or (depth, height, width).
        inplace: overwrite the input.
        couple_channels: whether the channels of a sample share their blocks.

    >>> DropBlock3d(0.1, block_size=(3, 5, 5))
    DropBlock3d(p=0.1, inplace=False, block_size=(3, 5, 5))
    """

    def __init__(
        self,
        p: Rate = 0.1,
        block_size: int | tuple[int, int, int] = 7,
        inplace: bool = False,
        *,
        couple_channels: bool = False,
        scale: Scale = "train",
    ) -> None:
        super().__init__(drop_block_3d(rate_of(p), block_size, couple_channels, scale), inplace)


class Zoneout(Layer):
    """A unit keeps its previous value with probability p; evaluation takes the expected value.

    >>> cell = Zoneout(0.5).eval()
    >>> cell(torch.tensor([2.0]), torch.tensor([0.0]))
    tensor([1.])
    """

    def __init__(self, p: Rate = 0.1, inplace: bool = False) -> None:
        super().__init__(zoneout(rate_of(p)), inplace)

    def forward(  # type: ignore[override]  # it takes two states
        self, new: Tensor, previous: Tensor, *, window: Window = WHOLE, **source: Any
    ) -> Tensor:
        """Return `previous` where a unit is dropped and `new` elsewhere.

        Args:
            new: the state that the cell computed.
            previous: the state before, of the same shape.
            window: the place of the state inside a larger one.
            **source: `key` and `generator` as in every layer.
        """
        check_kind("previous", previous, Tensor, "give the state of the step before")
        if new.shape != previous.shape:
            rule = f"has the shape of new, {tuple(new.shape)}"
            raise DropkitError("previous", rule, tuple(previous.shape), "give the state of the step before")
        return self._drop(new, self._law_for(new, window), fill=previous, **source)
