"""LayerDrop: whole layers of a stack are skipped at random, and the stack may be cut at inference."""

from __future__ import annotations

from typing import Any

import numpy as np

from dropkit.core.check import Whole
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["KEEP_EVERY", "METHOD", "kept_layers"]

_SHAPE, _RATE = (12, 16), 0.2
_DEPTH = Whole(0, "give the number of layers, e.g. 12")
KEEP_EVERY = Whole(1, "give a number of layers, e.g. 2 to keep every other one")


def kept_layers(depth: int, keep_every: int = 1) -> tuple[bool, ...]:
    """Return which layers stay when a stack is cut: the first one and every `keep_every`-th after it.

    Args:
        depth: the number of layers, at least 0.
        keep_every: 1 keeps all, 2 every other one.

    Raises:
        DropkitError: a number is out of its range.

    >>> kept_layers(5, 2)
    (True, False, True, False, True)
    """
    depth, keep_every = _DEPTH.check("depth", depth), KEEP_EVERY.check("keep_every", keep_every)
    return tuple(layer % keep_every == 0 for layer in range(depth))


def _sketch(key: Key) -> Any:
    """Step by step the layers that run: each step has a key of its own."""
    steps = (draws(key.fold("step", step), _SHAPE[1:]).u for step in range(_SHAPE[0]))
    return np.where(np.stack([u < threshold(_RATE, np) for u in steps]), 0.0, 1.0)


METHOD = Method(
    name="layer_drop",
    title="LayerDrop",
    summary="Skips whole layers of a stack at random, so that it can be cut to fewer layers at inference.",
    formula="kept_l ~ Bernoulli(1 - rate) once for each layer and pass; x <- layer_l(x) if kept_l, else x; "
    "nothing is scaled; at inference all layers run, or every k-th",
    paper=Paper(
        title="Reducing Transformer Depth on Demand with Structured Dropout",
        authors=("Fan, Angela", "Grave, Edouard", "Joulin, Armand"),
        year=2020,
        venue="ICLR",
        url="https://arxiv.org/abs/1909.11556",
        bibtex="""@inproceedings{fan2020reducing,
  title     = {Reducing Transformer Depth on Demand with Structured Dropout},
  author    = {Fan, Angela and Grave, Edouard and Joulin, Armand},
  booktitle = {International Conference on Learning Representations},
  year      = {2020}
}""",
        checked="public copies of the authors' LayerDropModuleList for the law, their readme for the layers "
        "that stay and, with a citing bibliography, for the reference",
    ),
    site="layer",
    fields=("text", "speech", "vision"),
    good_for="Deep transformers that shall run at several depths without further training. The authors "
    "recommend 0.2, and 0.5 where half of the layers shall go; reduce other dropout a little.",
    bad_for="Shallow stacks; layers that change the shape or have no skip connection inside, after which a "
    "skipped layer leaves the input where the next one never saw it.",
    evidence="Fan et al. report that a network trained with it can be pruned to the depth wanted without "
    "finetuning. Training Flexible Depth Model (2020, arXiv 2010.08265) finds it poor where the depth at "
    "test is far from what the rate of training led to expect.",
    sketch=_sketch,
    example=Example(
        shape=_SHAPE,
        axes="step layer",
        arguments={"rate": _RATE},
        usage={
            "torch": "layers = [torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in "
            "range(4)]\n"
            "stack = LayerDropList(layers, {rate}, keep_every=2)\n"
            "y = stack(torch.randn(2, 5, 8))\n"
            "y = stack.eval()(torch.randn(2, 5, 8))  # layers 0 and 2"
        },
    ),
    aliases=("layerdrop", "layer_dropout"),
    old_names={"layerdrop in Hugging Face's configurations": "the same rate, for encoder or decoder"},
    layers={"torch": "LayerDropList"},
    waived={
        "mean": "Fan et al. 2020, LayerDropModuleList: a skipped layer leaves its input as it is, which is "
        "not a factor times its output",
        "moments": "Fan et al. 2020, LayerDropModuleList: as for the mean",
    },
)
