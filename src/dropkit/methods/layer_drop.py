"""LayerDrop: whole layers of a stack are skipped at random, and the stack may be cut at inference."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dropkit.core.check import DropkitError, Whole, check_each
from dropkit.core.key import Key
from dropkit.core.method import Example, Method, Paper
from dropkit.core.rate import threshold
from dropkit.core.reference import draws

__all__ = ["DROP_EVERY", "INDEX", "KEEP_EVERY", "METHOD", "kept_layers"]

_SHAPE, _RATE = (12, 16), 0.2
_DEPTH = Whole(0, "give the number of layers, e.g. 12")
KEEP_EVERY = Whole(1, "give a number of layers, e.g. 2 to keep every other one")
DROP_EVERY = Whole(2, "give a number of layers, e.g. 4 to drop a quarter of them")
INDEX = Whole(0, "count the layers from 0")


def kept_layers(
    depth: int, keep_every: int = 1, drop_every: int | None = None, keep: Iterable[int] | None = None
) -> tuple[bool, ...]:
    """Return which layers stay when a stack is cut: all of them, or what one of three choices says.

    Args:
        depth: the number of layers, at least 0.
        keep_every: the first one stays and every `keep_every`-th after it: 2 keeps every other one.
        drop_every: every `drop_every`-th falls: 4 drops the fourth, the eighth and so on. The paper drops a
            share p of the layers by floor(1 / p).
        keep: the layers that stay, counted from 0.

    Raises:
        DropkitError: a number is out of its range, or more than one choice is given.

    >>> kept_layers(5, 2)
    (True, False, True, False, True)
    >>> kept_layers(5, drop_every=4)
    (True, True, True, False, True)
    >>> kept_layers(5, keep=[0, 1, 4])
    (True, True, False, False, True)
    """
    depth, keep_every = _DEPTH.check("depth", depth), KEEP_EVERY.check("keep_every", keep_every)
    if (keep_every != 1) + (drop_every is not None) + (keep is not None) > 1:
        given = {"keep_every": keep_every, "drop_every": drop_every, "keep": keep}
        raise DropkitError("keep_every", "is the only choice of layers", given, "give one of the three")
    if keep is not None:
        return _listed(depth, keep)
    if drop_every is not None:
        drop_every = DROP_EVERY.check("drop_every", drop_every)
        return tuple((layer + 1) % drop_every != 0 for layer in range(depth))
    return tuple(layer % keep_every == 0 for layer in range(depth))


def _listed(depth: int, keep: Iterable[int]) -> tuple[bool, ...]:
    chosen = check_each("keep", keep, INDEX)
    if any(layer >= depth for layer in chosen):
        raise DropkitError("keep", f"names some of the {depth} layers", chosen, "count the layers from 0")
    return tuple(layer in chosen for layer in range(depth))


def _sketch(key: Key) -> Any:
    """Step by step the layers that run: each step has a key of its own."""
    steps = (draws(key.fold("step", step), _SHAPE[1:]).u for step in range(_SHAPE[0]))
    return np.where(np.stack([u < threshold(_RATE, np) for u in steps]), 0.0, 1.0)


METHOD = Method(
    name="layer_drop",
    title="LayerDrop",
    summary="Skips whole layers of a stack at random, so that it can be cut to fewer layers at inference.",
    formula="kept_l ~ Bernoulli(1 - rate) once for each layer and pass; x <- layer_l(x) if kept_l, else x; "
    "nothing is scaled; at inference all layers run, or those that are chosen: the paper drops a share p of "
    "them, those at depth d = 0 mod floor(1 / p), d = 1 ... N",
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
        checked="public copies of the authors' LayerDropModuleList for the law; their readme for the layers "
        "that stay at a half, from which we take that d counts from 1, and, with a citing bibliography, for "
        "the reference; the paper's section on pruning in a public conversion for the choice of layers "
        "and the rates",
    ),
    site="layer",
    fields=("text", "speech", "vision"),
    good_for="Deep transformers that shall run at several depths without further training. The authors "
    "take 0.2 everywhere and recommend 0.5 for very small models; for r of N layers in the end, 1 - r / N "
    "fits what is trained on average. Reduce other dropout a little.",
    bad_for="Shallow stacks; layers that change the shape or have no skip connection inside, after which a "
    "skipped layer leaves the input where the next one never saw it.",
    evidence="Fan et al. report that a network trained with it can be pruned to the depth wanted without "
    "finetuning. Training Flexible Depth Model (2020, arXiv 2010.08265) finds it poor where the depth at "
    "test is far from what the rate of training led to expect.",
    sketch=_sketch,
    variant_of="drop_path",
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
    old_names={
        "layerdrop in Hugging Face's configurations": "the same rate, for encoder or decoder",
        "encoder_layerdrop": "the rate of the encoder's layers, in transformers",
        "decoder_layerdrop": "the rate of the decoder's layers, in transformers",
    },
    layers={"torch": "LayerDropList"},
    waived={
        "mean": "Fan et al. 2020, LayerDropModuleList: a skipped layer leaves its input as it is, which is "
        "not a factor times its output",
        "moments": "Fan et al. 2020, LayerDropModuleList: as for the mean",
    },
)
