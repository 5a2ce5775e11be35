"""PatchDropout: a vision transformer trains on part of its patches, the others are removed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.choose import kept_count, kept_places
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.reference import draws

__all__ = ["METHOD"]

Array = Any
_SHAPE = (6, 16, 4)


def _sketch(key: Key) -> Array:
    batch, tokens, _ = _SHAPE
    free = np.broadcast_to(np.arange(tokens) > 0, (batch, tokens))
    removed = tokens - 1 - kept_count(0.5, tokens - 1)
    kept = kept_places(draws(key, (batch, tokens)).u, free, removed, np)
    drawn = np.zeros((batch, tokens))
    np.put_along_axis(drawn, kept, 1.0, -1)
    return np.broadcast_to(drawn[..., None], _SHAPE).copy()


METHOD = Method(
    name="patch_dropout",
    title="PatchDropout",
    summary="Removes random patches before a vision transformer, so that a training step costs less time and "
    "memory; class tokens stay.",
    formula="for each sample a random subset of k = round((1 - rate) n) of n patches, in their order; "
    "y = the class tokens and these patches, unscaled",
    paper=Paper(
        title="PatchDropout: Economizing Vision Transformers Using Patch Dropout",
        authors=("Liu, Yue", "Matsoukas, Christos", "Strand, Fredrik", "Azizpour, Hossein", "Smith, Kevin"),
        year=2023,
        venue="WACV",
        url="https://arxiv.org/abs/2208.07220",
        bibtex="""@inproceedings{liu2023patchdropout,
  title     = {PatchDropout: Economizing Vision Transformers Using Patch Dropout},
  author    = {Liu, Yue and Matsoukas, Christos and Strand, Fredrik and Azizpour, Hossein and Smith, Kevin},
  booktitle = {Proceedings of the IEEE/CVF Winter Conference on Applications of Computer Vision},
  pages     = {3953--3962},
  year      = {2023},
  doi       = {10.1109/WACV56688.2023.00394}
}""",
        checked="the authors' code (patchdropout.py), which cuts k off instead of rounding it and does not "
        "restore the order, and timm's; the abstract and citing bibliographies",
    ),
    site="patch",
    fields=("vision",),
    good_for="Vision transformers on large images, where most patches tell little: half of them can go from "
    "each training step. Add position embeddings before it.",
    bad_for="Windowed transformers and convolutions, which need the whole grid; dense prediction, where "
    "every patch has a target; images of few patches.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="b t d",
        arguments={"rate": 0.5},
        usage={
            "torch": "layer = PatchDropout(0.5, prefix=1)\n"
            "x = torch.randn(6, 197, 32)  # a class token and 196 patches, with position embeddings\n"
            "y = layer(x)  # (6, 99, 32) in training"
        },
    ),
    evidence="Its abstract reports at least half the computation and memory saved on ImageNet, and on the "
    "high-resolution data set CSAW a fivefold saving with better performance.",
    aliases=("patchdropout", "patch_drop"),
    old_names={
        "PatchDropout(keep_rate=)": "the authors' argument: 1 - rate",
        "timm.layers.PatchDropout(prob=)": "the rate; without ordered=True the order of patches is lost",
    },
    layers={"torch": "PatchDropout"},
    waived={
        "rate": "authors' code, len_keep: exactly k of n patches stay, the nearest to the rate",
        "moments": "authors' code: kept patches are not scaled",
        "mean": "authors' code: kept patches are not scaled; attention averages over those that are left",
        "independence": "authors' code, argsort: exactly k of n, so that patches of a sample depend on each "
        "other",
        "edges": "at rate 1 one patch stays: a transformer has no output for no token",
    },
)
