"""Weights of Caffe's .caffemodel files for a rebuilt net."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dropkit.core.check import DropkitError
from dropkit.migrate.caffe_modules import InnerProduct, NotRebuilt
from dropkit.migrate.caffe_wire import LARGEST_MODEL, Blob, find_blobs

if TYPE_CHECKING:
    from dropkit.migrate.caffe_rebuild import CaffeModule, CaffeStep

__all__ = ["LARGEST_MODEL", "CaffeWeights", "load_weights"]

_MEND = "give the weights that were trained with this net, or mend the net's file"
_SHOWN = 5


@dataclass(frozen=True)
class CaffeWeights:
    """What became of the layers with weights, by their names in the files."""

    loaded: tuple[str, ...]
    kept: tuple[str, ...]
    """Of the net, without weights in the file: theirs are as they were."""
    passed_over: tuple[str, ...]
    """Of the file, without a place in the net."""


def load_weights(model: CaffeModule, path: str | Path, *, partial: bool = False) -> CaffeWeights:
    """Fill a rebuilt net with the weights of a .caffemodel file, layer by layer by their names.

    Files of all generations of Caffe are read, in single and double precision; nothing is unpickled. Layers
    of the file that the net lacks, such as the heads of GoogLeNet that only training has, are passed over.

    Args:
        model: what `rebuild_caffe` made. It is filled whole, or not at all.
        path: a file of at most `LARGEST_MODEL` bytes, 2 GiB. Beside the model, memory is taken for one blob
            at a time as the file holds it, and 64 MiB.
        partial: True: layers that the file lacks keep the weights that they have.

    Raises:
        DropkitError: the file is missing, too large or damaged; it lacks a layer of the net; or a blob has
            another shape than its layer, or numbers that the layer cannot hold, NaN and infinity among them.
        MissingPackage: protobuf is not installed.

    >>> import tempfile
    >>> from dropkit.migrate import rebuild_caffe
    >>> from dropkit.migrate.caffe_schema import net_class
    >>> trained = net_class()()
    >>> _ = trained.layer.add(name="scale").blobs.add(data=[2, 3, 4], shape={"dim": [3]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     net, weights = Path(folder, "net.prototxt"), Path(folder, "net.caffemodel")
    ...     _ = net.write_text('''input: "x" input_shape { dim: 1 dim: 3 }
    ...         layer { name: "scale" type: "Scale" bottom: "x" top: "y" }''')
    ...     _ = weights.write_bytes(trained.SerializeToString())
    ...     model = rebuild_caffe(net)
    ...     told = load_weights(model, weights)
    >>> told
    CaffeWeights(loaded=('scale',), kept=(), passed_over=())
    >>> model(torch.ones(1, 3)).tolist()
    [[2.0, 3.0, 4.0]]
    """
    found = _by_name(find_blobs(path), str(path))
    targets = {place.name: place for place in _places(model)}
    kept = tuple(name for name in targets if not found.get(name))
    if kept and not partial:
        rule = f"holds the weights of every layer of the net ({_some(kept)} without)"
        mend = f"{_MEND}; partial=True of load_weights keeps what such layers have"
        raise DropkitError("path", rule, str(path), mend)
    loaded = tuple(name for name in targets if name not in kept)
    for name in loaded:
        targets[name].check(found[name])
    with torch.no_grad():
        for name in loaded:
            targets[name].fill(found[name])
    return CaffeWeights(
        loaded, kept, tuple(name for name, blobs in found.items() if blobs and name not in targets)
    )


def _by_name(layers: Sequence[tuple[str, list[Blob]]], path: str) -> dict[str, list[Blob]]:
    found: dict[str, list[Blob]] = {}
    for name, blobs in layers:
        if blobs and found.get(name):
            rule = f"holds the weights of layer {name!r} once"
            raise DropkitError("path", rule, path, "rename one of the layers in Caffe and save it again")
        found[name] = blobs or found.get(name, [])
    return found


class _Place:
    """A layer of the net that has weights."""

    def __init__(self, step: CaffeStep, module: nn.Module) -> None:
        self.name, self.title, self.module = step.layer, f"layer {step.layer!r} ({step.type})", module
        self._statistics = isinstance(module, nn.modules.batchnorm._BatchNorm) and not module.affine
        self._turned = isinstance(module, InnerProduct) and module.transpose

    def tensors(self) -> list[Tensor]:
        """Return what is filled, in the order of Caffe's blobs."""
        if self._statistics:
            statistics = self.module.running_mean, self.module.running_var
            return [each for each in statistics if isinstance(each, Tensor)]
        return list(self.module.parameters())

    def check(self, blobs: list[Blob]) -> None:
        """Raise `DropkitError` where the blobs are not what the layer takes."""
        tensors = self.tensors()
        shapes = [tuple(each.shape) for each in tensors]
        if self._turned:
            shapes[0] = shapes[0][::-1]
        shapes += [(1,)] * self._statistics
        if len(blobs) != len(shapes):
            rule = f"takes {len(shapes)} blobs, of shape {', '.join(map(str, shapes))}"
            raise DropkitError(self.title, rule, [blob.shape for blob in blobs[:_SHOWN]], _MEND)
        for at, (blob, shape) in enumerate(zip(blobs, shapes, strict=True)):
            if not _same(blob.shape, shape):
                raise DropkitError(self.title, f"takes blob {at} of shape {shape}", blob.shape, _MEND)
            if blob.count != math.prod(shape):
                rule, mend = f"takes {math.prod(shape)} numbers in blob {at}", "download the file again"
                raise DropkitError(self.title, rule, blob.count, mend)
        factor, most = self._factor(blobs), torch.finfo(tensors[0].dtype).max
        for at, blob in enumerate(blobs):
            numbers: NDArray[Any] = blob.read()
            for number in (float(numbers.min()), float(numbers.max())):
                # A NaN is both, and neither below nor above.
                if not -most <= number * factor <= most:
                    rule, mend = f"takes finite numbers in blob {at}", "give weights that did not diverge"
                    raise DropkitError(self.title, rule, number * factor, mend)

    def fill(self, blobs: list[Blob]) -> None:
        """Take the numbers of the blobs over."""
        factor = self._factor(blobs)
        for at, (blob, tensor) in enumerate(zip(blobs, self.tensors(), strict=False)):
            read = torch.from_numpy(blob.read())
            if self._turned and at == 0:
                tensor.copy_(read.view(tensor.shape[::-1]).T)
            else:
                tensor.copy_(read.view(tensor.shape))
            if self._statistics:
                tensor.mul_(factor)

    def _factor(self, blobs: list[Blob]) -> float:
        # Caffe's statistics are sums: the third blob says of how much, and 0 stands for nothing yet.
        of = float(blobs[2].read()[0]) if self._statistics else 1.0
        return 1 / of if of else 0.0


def _places(model: CaffeModule) -> list[_Place]:
    places: dict[str, _Place] = {}
    for step in model.steps:
        module = model.get_submodule(step.name)
        place = _Place(step, module)
        if isinstance(module, NotRebuilt) or not place.tensors():
            continue
        if step.layer in places:
            rule = "has a name of its own, as it has weights"
            raise DropkitError(place.title, rule, step.layer, "rename it in both files")
        places[step.layer] = place
    return list(places.values())


def _same(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether shapes agree but for ones in front: old files have four axes always."""
    return _bare(found) == _bare(wanted)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[next((place for place, size in enumerate(shape) if size != 1), len(shape)) :]


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {rest} more" if rest > 0 else "")
