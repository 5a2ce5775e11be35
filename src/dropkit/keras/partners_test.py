"""Dropout layers of both frameworks are partners where they drop alike."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from torch import nn

import dropkit
import dropkit.keras as dk
import dropkit.torch as dt
from dropkit.core.check import DropkitError

SEQUENCE, IMAGE, VOLUME = (6, 4), (8, 8, 4), (8, 8, 8, 4)

TWINS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "Dropout": (lambda: dk.Dropout(0.3), lambda: dt.Dropout(0.1), IMAGE),
    "scale": (lambda: dk.Dropout(0.3, scale="eval"), lambda: dt.Dropout(0.1, scale="eval"), IMAGE),
    "of another name": (lambda: dk.InputDropout(0.3), lambda: dt.Dropout(0.1), IMAGE),
    "SpatialDropout1D": (lambda: dk.SpatialDropout1D(0.3), lambda: dt.Dropout1d(0.1), SEQUENCE),
    "of torch's odd rank": (lambda: dk.SpatialDropout1D(0.3), lambda: dt.Dropout2d(0.1), SEQUENCE),
    "SpatialDropout2D": (lambda: dk.SpatialDropout2D(0.3), lambda: dt.Dropout2d(0.1), IMAGE),
    "SpatialDropout3D": (lambda: dk.SpatialDropout3D(0.3), lambda: dt.Dropout3d(0.1), VOLUME),
    "first": (lambda: dk.SpatialDropout2D(0.3, "channels_first"), lambda: dt.SpatialDropout(0.1), IMAGE),
    "last": (
        lambda: dk.SpatialDropout2D(0.3),
        lambda: dt.SpatialDropout(0.1, channels_last=True),
        IMAGE,
    ),
    "noise_shape": (lambda: dk.Dropout(0.3, (None, 1, None)), lambda: dt.Dropout1d(0.1), SEQUENCE),
    "noise_shape first": (lambda: dk.Dropout(0.3, (None, None, 1)), lambda: dt.Dropout1d(0.1), SEQUENCE),
    "AlphaDropout": (lambda: dk.AlphaDropout(0.3), lambda: dt.AlphaDropout(0.1), IMAGE),
    "FeatureAlphaDropout": (lambda: dk.FeatureAlphaDropout(0.3), lambda: dt.FeatureAlphaDropout(0.1), IMAGE),
    "GaussianDropout": (lambda: dk.GaussianDropout(0.3), lambda: dt.GaussianDropout(0.1), IMAGE),
    "UniformDropout": (lambda: dk.UniformDropout(0.3), lambda: dt.UniformDropout(0.1), IMAGE),
    "DropBlock2D": (lambda: dk.DropBlock2D(0.3, 3), lambda: dt.DropBlock2d(0.1, 3), IMAGE),
    "DropBlock3D": (lambda: dk.DropBlock3D(0.3, 3), lambda: dt.DropBlock3d(0.1, 3), VOLUME),
    "coupled": (
        lambda: dk.DropBlock2D(0.3, 3, couple_channels=True),
        lambda: dt.DropBlock2d(0.1, 3, couple_channels=True),
        IMAGE,
    ),
    "DropPath": (lambda: dk.DropPath(0.3), lambda: dt.DropPath(0.1), IMAGE),
    "LockedDropout": (lambda: dk.LockedDropout(0.3), lambda: dt.LockedDropout(0.1), SEQUENCE),
    "time first": (lambda: dk.LockedDropout(0.3), lambda: dt.LockedDropout(0.1, batch_first=False), SEQUENCE),
    "locked channels": (lambda: dk.SpatialDropout1D(0.3), lambda: dt.LockedDropout(0.1), SEQUENCE),
    "TokenDropout": (lambda: dk.TokenDropout(0.3), lambda: dt.TokenDropout(0.1), SEQUENCE),
    "HeadDropout": (lambda: dk.HeadDropout(0.3), lambda: dt.HeadDropout(0.1), IMAGE),
    "Drop": (lambda: dk.Drop(0.3, "b h w c -> b c"), lambda: dt.Drop(0.1, "b c h w -> b c"), IMAGE),
    "renamed": (lambda: dk.Drop(0.3, "i j k l -> l i"), lambda: dt.Dropout2d(0.1), IMAGE),
    "split": (
        lambda: dk.Drop(0.3, "b t (h d) -> b h", sizes={"h": 2}),
        lambda: dt.Drop(0.1, "n (g c) t -> n g", g=2),
        SEQUENCE,
    ),
    "counted": (
        lambda: dk.Drop(0.3, dropkit.KofN(over="t", pattern="b t d -> b t")),
        lambda: dt.Drop(0.1, dropkit.KofN(over="s", pattern="n s f -> n s")),
        SEQUENCE,
    ),
    "a size that follows": (
        lambda: dk.Drop(0.3, "b t d -> b d", sizes={"t": 6}),
        lambda: dt.Drop(0.1, "b t d -> b d"),
        SEQUENCE,
    ),
    "all written": (lambda: dk.Drop(0.3, "b h w c"), lambda: dt.Dropout(0.1), IMAGE),
}


def model(layer: Any, shape: tuple[int, ...]) -> Any:
    return keras.Sequential([keras.Input(shape), layer])


@pytest.mark.parametrize(("ours", "theirs", "shape"), TWINS.values(), ids=TWINS)
def test_layers_that_drop_alike_are_partners(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    module = theirs()
    assert len(dk.to_torch(model(ours(), shape), nn.Sequential(module))) == 1
    assert module.p == 0.3


STRANGERS: dict[str, tuple[Any, Any, tuple[int, ...], str]] = {
    "entries and channels": (lambda: dk.Dropout(0.3), lambda: dt.Dropout2d(0.1), IMAGE, "groups"),
    "entries and samples": (lambda: dk.DropPath(0.3), lambda: dt.Dropout(0.1), IMAGE, "groups"),
    "sample and batch": (lambda: dk.DropPath(0.3), lambda: dt.DropPath(0.1, per="batch"), IMAGE, "groups"),
    "alpha": (lambda: dk.Dropout(0.3), lambda: dt.AlphaDropout(0.1), IMAGE, "noise"),
    "gaussian": (lambda: dk.GaussianDropout(0.3), lambda: dt.Dropout(0.1), IMAGE, "noise"),
    "scale": (lambda: dk.Dropout(0.3, scale="eval"), lambda: dt.Dropout(0.1), IMAGE, "scale"),
    "unscaled": (
        lambda: dk.DropPath(0.3, scale_by_keep=False),
        lambda: dt.DropPath(0.1),
        IMAGE,
        "scale",
    ),
    "tokens and features": (lambda: dk.TokenDropout(0.3), lambda: dt.LockedDropout(0.1), SEQUENCE, "groups"),
    "features and tokens": (lambda: dk.LockedDropout(0.3), lambda: dt.TokenDropout(0.1), SEQUENCE, "groups"),
    "tokens and channels": (lambda: dk.TokenDropout(0.3), lambda: dt.Dropout1d(0.1), SEQUENCE, "groups"),
    "channels and tokens": (
        lambda: dk.SpatialDropout1D(0.3),
        lambda: dt.TokenDropout(0.1),
        SEQUENCE,
        "groups",
    ),
    "blocks": (lambda: dk.DropBlock2D(0.3, 3), lambda: dt.DropBlock2d(0.1, 5), IMAGE, "groups"),
    "blocks as published": (
        lambda: dk.Drop(0.3, dropkit.Blocks(3, over="h w", pattern="b h w c", published=True)),
        lambda: dt.DropBlock2d(0.1, 3),
        IMAGE,
        "groups",
    ),
    "blocks of channels": (
        lambda: dk.DropBlock2D(0.3, 3),
        lambda: dt.DropBlock2d(0.1, 3, couple_channels=True),
        IMAGE,
        "groups",
    ),
    "blocks and entries": (lambda: dk.DropBlock2D(0.3, 3), lambda: dt.Dropout(0.1), IMAGE, "groups"),
    "sizes": (
        lambda: dk.Drop(0.3, "b t (h d) -> b h", sizes={"h": 2}),
        lambda: dt.Drop(0.1, "b t (h d) -> b h", h=4),
        SEQUENCE,
        "groups",
    ),
    "ranks": (lambda: dk.LockedDropout(0.3), lambda: dt.Drop(0.1, "b c h w -> b c"), SEQUENCE, "groups"),
    "spared": (lambda: dk.TokenDropout(0.3), lambda: dt.TokenDropout(0.1, prefix=1), SEQUENCE, "never drops"),
}


@pytest.mark.parametrize(("ours", "theirs", "shape", "word"), STRANGERS.values(), ids=STRANGERS)
def test_layers_that_drop_otherwise_are_refused(
    ours: Any, theirs: Any, shape: tuple[int, ...], word: str
) -> None:
    layer, module = ours(), theirs()
    named = (
        rf"has .*{word}.*, got '{layer.name} \({type(layer).__name__}\) and 0 \({type(module).__name__}\)'"
    )
    with pytest.raises(DropkitError, match=named):
        dk.to_torch(model(layer, shape), nn.Sequential(module))
    with pytest.raises(DropkitError, match=named):
        dk.from_torch(nn.Sequential(module), model(layer, shape))
    assert (layer.rate, module.p) == (0.3, 0.1)


def test_noise_on_weights_has_partners_of_its_kind() -> None:
    ours = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            dk.EmbeddingDropout(keras.layers.Embedding(10, 4), 0.3),
            dk.DropConnect(keras.layers.Dense(4), 0.3),
            dk.StochasticDepth(keras.layers.Dense(4), 0.3),
        ]
    )
    linear = dt.NoisyWeights(nn.Linear(4, 4), dt.Dropout(0.1))
    theirs = nn.Sequential(
        dt.EmbeddingDropout(nn.Embedding(10, 4), 0.1), linear, nn.Linear(4, 4), dt.DropPath(0.1)
    )
    dk.to_torch(ours, theirs)
    assert [theirs[0].p, linear.p, theirs[3].p] == [0.3] * 3
    theirs[3] = dt.Dropout(0.1)
    with pytest.raises(DropkitError, match=r"the groups of its partner, 'b ... -> b'"):
        dk.to_torch(ours, theirs)
