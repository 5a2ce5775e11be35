"""Caffe's networks as their .prototxt files describe them, and the dropout in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dropkit.core.check import RATE, DropkitError, OneOf
from dropkit.migrate.caffe_old import upgrade
from dropkit.migrate.caffe_text import parse, read_text

__all__ = ["CaffeDropout", "CaffeLayer", "CaffeNet", "Phase", "read_caffe"]

Phase = Literal["train", "test"]
PHASES = OneOf(("train", "test"))
_MOST_LAYERS = 20_000


@dataclass(frozen=True)
class CaffeLayer:
    """A layer: what it is called, what it is, and what it joins."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    """The names of the blobs that it takes."""
    tops: tuple[str, ...]
    """The names of the blobs that it gives; one of `bottoms` where it works in place."""
    phases: tuple[Phase, ...]
    """Where it is part of the net, at level 0 and without stages."""
    message: Any
    """Its `LayerParameter`, a protobuf message."""


@dataclass(frozen=True)
class CaffeDropout:
    """A dropout layer and its place."""

    name: str
    ratio: float
    """The probability that an entry is dropped, as everywhere in dropkit."""
    scale_train: bool
    """True: kept entries are divided by 1 - ratio in training. False: all are multiplied by it in test."""
    after: str | None
    """The layer that fills its blob, or None where that is an input."""
    before: tuple[str, ...]
    """The layers that take its result."""
    phases: tuple[Phase, ...]

    @property
    def becomes(self) -> str:
        """The layer that does the same in PyTorch."""
        scale = "" if self.scale_train else ', scale="eval"'
        return f"dropkit.torch.Dropout({self.ratio}{scale})"


@dataclass(frozen=True)
class CaffeNet:
    """A network: its inputs and its layers, in the order of the file and in the form of today's Caffe."""

    name: str
    inputs: tuple[tuple[str, tuple[int, ...] | None], ...]
    """The blobs that come from outside, each with its shape where the file tells it."""
    layers: tuple[CaffeLayer, ...]

    def of(self, phase: Phase) -> tuple[CaffeLayer, ...]:
        """Return the layers that are part of the net in a phase, `"train"` or `"test"`."""
        PHASES.check("phase", phase)
        return tuple(layer for layer in self.layers if phase in layer.phases)

    def dropouts(self) -> tuple[CaffeDropout, ...]:
        """Return the dropout layers, in their order.

        Raises:
            DropkitError: a ratio is no probability.
        """
        after, before = _neighbours(self.layers)
        return tuple(
            _dropout(layer, after[place], before[place])
            for place, layer in enumerate(self.layers)
            if layer.type == "Dropout"
        )


def read_caffe(path: str | Path) -> CaffeNet:
    """Read a network from a .prototxt file, of any generation of Caffe's format; Caffe is not needed.

    Google's protobuf reads the text, by the part of Caffe's schema that bears on what layers compute. Fields
    that are not in it are passed over.

    Args:
        path: a file of at most 2 MiB.

    Raises:
        DropkitError: the file is missing, too long, or no description of a net.
        MissingPackage: protobuf is not installed.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
    ...     _ = file.write("input: 'x'  layer { name: 'drop' type: 'Dropout' bottom: 'x' top: 'x' }")
    ...     file.flush()
    ...     net = read_caffe(file.name)
    >>> net.dropouts()
    (CaffeDropout(name='drop', ratio=0.5, scale_train=True, after=None, before=(), phases=('train', 'test')),)
    """
    message = parse(read_text(Path(path)), str(path))
    upgrade(message, str(path))
    layers = message.layer
    if len(layers) > _MOST_LAYERS:
        rule = f"has at most {_MOST_LAYERS} layers"
        raise DropkitError("path", rule, f"{len(layers)} in {path}", "give a smaller net")
    if not layers:
        rule, mend = "describes a net with layers", "give the net's file, not the solver's"
        raise DropkitError("path", rule, str(path), mend)
    return CaffeNet(message.name, tuple(_inputs(message)), tuple(map(_layer, layers)))


def written(number: float) -> float:
    """Return the decimal that became a number of single precision.

    >>> written(0.699999988079071)
    0.7
    """
    return float(str(np.float32(number)))


def _layer(message: Any) -> CaffeLayer:
    phases: tuple[Phase, ...] = tuple(phase for phase in ("train", "test") if _is_in(message, phase))
    return CaffeLayer(message.name, message.type, tuple(message.bottom), tuple(message.top), phases, message)


def _is_in(layer: Any, phase: Phase) -> bool:
    if layer.include:
        return any(_meets(rule, phase) for rule in layer.include)
    return not any(_meets(rule, phase) for rule in layer.exclude)


def _meets(rule: Any, phase: Phase) -> bool:
    named = not rule.HasField("phase") or rule.phase == PHASES.words.index(phase)
    return (
        named
        and rule.min_level <= 0 <= (rule.max_level if rule.HasField("max_level") else 0)
        and not rule.stage
    )


def _inputs(message: Any) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    for place, name in enumerate(message.input):
        four = message.input_dim[4 * place : 4 * place + 4]
        shapes = message.input_shape[place : place + 1]
        yield name, tuple(shapes[0].dim) if shapes else tuple(four) if len(four) == 4 else None
    for layer in message.layer:
        for place, name in enumerate(layer.top if layer.type == "Input" else ()):
            # One shape serves all tops.
            shapes = layer.input_param.shape[place : place + 1] or layer.input_param.shape[:1]
            yield name, tuple(shapes[0].dim) if shapes else None


def _neighbours(layers: Sequence[CaffeLayer]) -> tuple[list[str | None], list[list[str]]]:
    """Return for each layer the one that fills its first blob, and those that take its result."""
    after: list[str | None] = [None] * len(layers)
    before: list[list[str]] = [[] for _ in layers]
    filled: dict[str, int] = {}
    for place, layer in enumerate(layers):
        sources = [filled[blob] for blob in layer.bottoms if blob in filled]
        after[place] = layers[sources[0]].name if sources else None
        for source in sources:
            before[source].append(layer.name)
        filled |= dict.fromkeys(layer.tops, place)
    return after, before


def _dropout(layer: CaffeLayer, after: str | None, before: list[str]) -> CaffeDropout:
    param = layer.message.dropout_param
    ratio = RATE.check(f"dropout_ratio of layer {layer.name!r}", written(param.dropout_ratio))
    return CaffeDropout(layer.name, ratio, param.scale_train, after, tuple(before), layer.phases)
