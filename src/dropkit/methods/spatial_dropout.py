"""Spatial dropout: whole channels are dropped."""

from __future__ import annotations

from typing import Any

from dropkit.core.drop import Drop
from dropkit.core.method import Example, Method, Paper
from dropkit.core.mode import Scale

__all__ = ["METHOD", "spatial_dropout"]


def spatial_dropout(rate: Any, channels_last: bool = False, scale: Scale = "train") -> Drop:
    """Return spatial dropout: one coin for each channel of each sample, shared over all spatial axes.

    One, two or three spatial axes are served alike.

    Args:
        rate: the probability that a channel is dropped, in [0, 1].
        channels_last: whether channels are the last axis, `(batch, ..., channels)`, not the second one.
        scale: where the factor 1 / (1 - rate) goes.

    >>> spatial_dropout(0.2).groups.pattern, spatial_dropout(0.2, channels_last=True).groups.pattern
    ('b c ... -> b c', 'b ... c -> b c')
    """
    return Drop(rate, "b ... c -> b c" if channels_last else "b c ... -> b c", scale=scale)


METHOD = Method(
    name="spatial_dropout",
    title="SpatialDropout",
    summary="Drops whole channels, so that a dropped place cannot be read off its neighbours in the same "
    "channel.",
    formula="kept ~ Bernoulli(1 - rate) for each (b, c); y = x kept / (1 - rate)",
    paper=Paper(
        title="Efficient Object Localization Using Convolutional Networks",
        authors=("Tompson, Jonathan", "Goroshin, Ross", "Jain, Arjun", "LeCun, Yann", "Bregler, Christoph"),
        year=2015,
        venue="CVPR",
        url="https://arxiv.org/abs/1411.4280",
        bibtex="""@inproceedings{tompson2015efficient,
  title     = {Efficient Object Localization Using Convolutional Networks},
  author    = {Tompson, Jonathan and Goroshin, Ross and Jain, Arjun and LeCun, Yann and Bregler, Christoph},
  booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
  year      = {2015},
  note      = {arXiv:1411.4280}
}""",
        checked="citing bibliographies for the reference; PyTorch's Dropout2d and Keras's SpatialDropout2D "
        "for the law",
    ),
    site="activation",
    fields=("vision", "speech"),
    good_for="Early and middle convolutions, where neighbouring entries are strongly correlated and "
    "entry-wise dropout only slows learning down; sequences of feature maps (one spatial axis) and volumes "
    "(three).",
    bad_for="Layers with few channels; maps after global pooling, where it is the same as dropout; networks "
    "that underfit.",
    describe=spatial_dropout,
    example=Example(shape=(2, 6, 6, 6), axes="b c h w", arguments={"rate": 0.3}),
    evidence="Where neighbours in a map are strongly correlated, entry-wise dropout takes little "
    "information away and acts as a lower learning rate (Tompson et al. 2015, and Keras's "
    "documentation of the layer).",
    study=True,
    aliases=(
        "channel_dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "feature_dropout",
        "spatial_dropout_1d",
        "spatial_dropout_2d",
        "spatial_dropout_3d",
    ),
    old_names={
        "Dropout1d": "torch's name for one coin a channel of (N, C, L)",
        "Dropout2d": "torch's name for one coin a channel of (N, C, H, W)",
        "Dropout3d": "torch's name for one coin a channel of (N, C, D, H, W)",
        "SpatialDropout1D": "Keras's name; there channels come last",
        "SpatialDropout2D": "Keras's name",
        "SpatialDropout3D": "Keras's name",
        "feature_dropout": "PyTorch's first name for it",
    },
    layers={"torch": "SpatialDropout", "keras": "SpatialDropout2D"},
)
