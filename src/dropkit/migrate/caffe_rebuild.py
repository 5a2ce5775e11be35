"""Caffe's networks rebuilt as modules of PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from dropkit.core.check import DropkitError
from dropkit.migrate.caffe import CaffeLayer, CaffeNet, Phase, read_caffe
from dropkit.migrate.caffe_layers import MAKERS, Maker, Shape, is_data, is_end
from dropkit.migrate.caffe_modules import NotRebuilt
from dropkit.migrate.caffe_weights import load_weights

__all__ = ["MOST_NUMBERS", "CaffeModule", "CaffeStep", "rebuild_caffe"]

MOST_NUMBERS = 2**29
"""Parameters and buffers of a net, all together: 2 GiB in single precision; VGG-19 has 143,667,240."""
_LARGEST_BLOB = 2**31
_MOST_STEPS = 5000
_MEND = "mend it in the file"
_FROM_TORCH = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


@dataclass(frozen=True)
class CaffeStep:
    """A layer as it was rebuilt."""

    name: str
    """Of its module: the layer's, with `_` for dots, and numbered where that is taken."""
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    shapes: tuple[Shape | None, ...]
    """Of its tops, for the inputs' shapes; None where a layer before it was not rebuilt."""
    parameters: int
    """How many numbers it learns; layers that share them tell them each."""
    layer: str
    """The layer's name as it is in the file."""


class CaffeModule(nn.Module):
    """A network of Caffe: its layers are modules under their names in the file, and called in its order.

    `rebuild_caffe` makes it. A call takes a tensor for each of `inputs` and returns a tensor where the net
    has one output, else a dict of them by the names of their blobs.
    """

    def __init__(
        self,
        steps: Sequence[CaffeStep],
        modules: Sequence[nn.Module],
        inputs: Mapping[str, Shape],
        left_out: tuple[tuple[str, str], ...],
    ) -> None:
        super().__init__()
        self.steps = tuple(steps)
        self.inputs = dict(inputs)
        """The blobs that a call takes, in their order, each with the shape that the net was rebuilt for."""
        self.left_out = left_out
        """Name and type of the layers without a module: they bring data in, or measure the results."""
        self.outputs = _unused(self.steps)
        """The blobs that no layer takes."""
        self._last = _last(self.steps, self.outputs)
        for step, module in zip(self.steps, modules, strict=True):
            self.add_module(step.name, module)

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """Name and type of the layers whose type is unknown: they are `NotRebuilt`, and raise when called."""
        return tuple(
            (step.name, step.type)
            for step in self.steps
            if isinstance(module := self.get_submodule(step.name), NotRebuilt) and module.unknown
        )

    def forward(self, *inputs: Tensor) -> Tensor | dict[str, Tensor]:
        """Run the layers in their order."""
        if len(inputs) != len(self.inputs):
            mend = f"give {', '.join(self.inputs)}"
            raise DropkitError("inputs", f"are {len(self.inputs)} tensors", len(inputs), mend)
        blobs = dict(zip(self.inputs, inputs, strict=True))
        for step, last in zip(self.steps, self._last, strict=True):
            given = self._modules[step.name]
            assert given is not None
            made = given(*(blobs[name] for name in step.bottoms))
            blobs |= zip(step.tops, made if isinstance(made, tuple | list) else (made,), strict=True)
            for name in last:
                del blobs[name]
        if len(self.outputs) == 1:
            return blobs[self.outputs[0]]
        return {name: blobs[name] for name in self.outputs}


def rebuild_caffe(
    net: CaffeNet | str | Path,
    *,
    phase: Phase = "test",
    inputs: Mapping[str, Sequence[int]] | None = None,
    own: Mapping[str, Maker] | None = None,
    weights: str | Path | None = None,
) -> CaffeModule:
    """Rebuild a network of Caffe as a module of PyTorch, with its weights or initial ones of torch's.

    Data layers become inputs; losses, Accuracy and Silence are left out. A layer of an unknown type becomes
    a `NotRebuilt`, and so does a later one whose input it would have shaped.

    Args:
        net: a .prototxt file, or what `read_caffe` made of it.
        phase: whose layers are rebuilt; the module is left in training mode for `"train"`, else in eval mode.
        inputs: shapes of the inputs by the names of their blobs, where the file does not tell them or others
            are wanted.
        own: makers of further layer types, or others of known types: functions of the `CaffeLayer` and the
            shapes of its inputs that return a module. Each is called twice, once on torch's meta device.
        weights: the .caffemodel file of this net. `load_weights` loads it and tells which layers of it have
            no place here.

    Raises:
        DropkitError: a layer cannot be what the file says; the net would hold more than `MOST_NUMBERS`
            numbers, a blob more than 2**31, or the net more than 5000 layers; or the shape of an input is not
            known. All this is found before memory is taken for numbers: a net takes at most 3 GiB. Or the
            weights do not fit.

    >>> import tempfile
    >>> text = '''input: "x" input_shape { dim: 2 dim: 3 }
    ... layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
    ... layer { name: "drop" type: "Dropout" bottom: "y" top: "y" dropout_param { dropout_ratio: 0.7 } }'''
    >>> with tempfile.NamedTemporaryFile("w", suffix=".prototxt") as file:
    ...     _ = file.write(text)
    ...     file.flush()
    ...     model = rebuild_caffe(file.name)
    >>> model
    CaffeModule(
      (fc): InnerProduct(in_features=3, out_features=4, bias=True)
      (drop): Dropout(p=0.7, inplace=False)
    )
    >>> model(torch.ones(5, 3)).shape
    torch.Size([5, 4])
    """
    net = net if isinstance(net, CaffeNet) else read_caffe(net)
    plan = _Plan(net.of(phase), _shapes(net, inputs or {}), dict(own or {}))
    modules = [_make(plan.makers[place], *each) for place, each in enumerate(plan.made)]
    model = CaffeModule(plan.steps, modules, plan.inputs, tuple(plan.left_out))
    _share(model, plan.made)
    if weights is not None:
        load_weights(model, weights)
    return model.train(phase == "train")


def _shapes(net: CaffeNet, given: Mapping[str, Sequence[int]]) -> dict[str, Shape | None]:
    shapes = dict(net.inputs)
    for layer in net.layers:
        if layer.type == "MemoryData" and layer.tops:
            param = layer.message.memory_data_param
            shapes[layer.tops[0]] = (param.batch_size, param.channels, param.height, param.width)
    return shapes | {name: tuple(shape) for name, shape in given.items()}


class _Plan:
    """What is rebuilt of what: found on torch's meta device, where tensors have shapes and no memory."""

    def __init__(
        self, layers: tuple[CaffeLayer, ...], shapes: Mapping[str, Shape | None], own: Mapping[str, Maker]
    ) -> None:
        self.steps: list[CaffeStep] = []
        self.made: list[tuple[CaffeLayer, tuple[Shape, ...]]] = []
        self.makers: list[Maker] = []
        self.inputs: dict[str, Shape] = {}
        self.left_out: list[tuple[str, str]] = []
        self._own, self._declared = own, shapes
        self._blobs: dict[str, Shape | None] = {}
        self._names: set[str] = (
            set(dir(nn.Module()))
            | set(CaffeModule.__dict__)
            | {*("inputs", "left_out", "outputs", "steps", "_last")}
        )
        self._numbers = 0
        if len(layers) > _MOST_STEPS:
            rule = f"has at most {_MOST_STEPS} layers to rebuild"
            raise DropkitError("net", rule, len(layers), "rebuild a part of it")
        for layer in layers:
            if is_data(layer) and layer.type not in own:
                self.left_out += [] if layer.type == "Input" else [(layer.name, layer.type)]
            elif is_end(layer) and layer.type not in own:
                self.left_out.append((layer.name, layer.type))
            else:
                self._add(layer)
        if not self.steps:
            rule = "has a layer to rebuild in this phase"
            raise DropkitError("net", rule, f"{len(layers)} of data and losses", "rebuild the other phase")

    def _add(self, layer: CaffeLayer) -> None:
        for blob in layer.bottoms:
            if blob not in self._blobs:
                self._blobs[blob] = self.inputs[blob] = self._input(layer, blob)
        maker, tops = self._maker(layer), layer.tops
        if len(set(tops)) < len(tops) or any(top in self._blobs and top not in layer.bottoms for top in tops):
            raise DropkitError(_title(layer), "gives blobs of new names, or one in place", tops, _MEND)
        shapes = tuple(shape for blob in layer.bottoms if (shape := self._blobs[blob]) is not None)
        numbers, found = 0, tuple[Shape | None, ...]((None,) * len(tops))
        with torch.device("meta"), torch.no_grad():
            module = _make(maker, layer, shapes)
            if not isinstance(module, NotRebuilt):
                numbers = self._count(layer, module)
                with _told(layer):
                    found = _run(layer, module.eval(), shapes)
        self._blobs |= zip(tops, found, strict=True)
        step = CaffeStep(self._name(layer.name), layer.type, layer.bottoms, tops, found, numbers, layer.name)
        self.steps.append(step)
        self.made.append((layer, shapes))
        self.makers.append(maker)

    def _input(self, layer: CaffeLayer, blob: str) -> Shape:
        shape = self._declared.get(blob)
        if shape is None:
            rule = "takes blobs that a layer before it or an input gives, of a known shape"
            mend = f'mend it in the file, or give inputs={{"{blob}": (N, C, H, W)}}'
            raise DropkitError(_title(layer), rule, blob, mend)
        if not all(isinstance(size, int) and size > 0 for size in shape) or math.prod(shape) > _LARGEST_BLOB:
            rule = f"has positive sizes, and at most {_LARGEST_BLOB} numbers"
            raise DropkitError(f"input {blob!r}", rule, shape, "give its shape in inputs")
        return shape

    def _maker(self, layer: CaffeLayer) -> Maker:
        lost = next((blob for blob in layer.bottoms if self._blobs[blob] is None), None)
        if layer.type in self._own and lost is None:
            return self._own[layer.type]
        if layer.type not in MAKERS and layer.type not in self._own:
            return lambda layer, _: NotRebuilt(layer.type, "its type is unknown", unknown=True)
        if lost is not None:
            return lambda layer, _: NotRebuilt(layer.type, f"the shape of its input {lost!r} is unknown")
        row = MAKERS[layer.type]
        if not row.least <= len(layer.bottoms) <= row.most:
            most = "" if row.most == row.least else " or more" if row.most > 2 else f" to {row.most}"
            rule = f"takes {row.least}{most} of bottom"
            raise DropkitError(_title(layer), rule, len(layer.bottoms), _MEND)
        return row.make

    def _count(self, layer: CaffeLayer, module: nn.Module) -> int:
        held = [*module.parameters(), *module.buffers()]
        self._numbers += sum(each.numel() for each in held)
        if self._numbers > MOST_NUMBERS:
            rule = f"leaves the net with at most {MOST_NUMBERS} parameters"
            raise DropkitError(_title(layer), rule, self._numbers, _MEND)
        return sum(each.numel() for each in module.parameters())

    def _name(self, name: str) -> str:
        name = name.replace(".", "_") or "layer"
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}_{count}"
        self._names.add(found)
        return found


def _make(maker: Maker, layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    with _told(layer):
        return maker(layer, shapes)


def _run(layer: CaffeLayer, module: nn.Module, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    made = module(*(torch.empty(shape) for shape in shapes))
    blobs = made if isinstance(made, tuple | list) else (made,)
    if len(blobs) != len(layer.tops):
        raise DropkitError(_title(layer), f"gives {len(blobs)} of top", len(layer.tops), _MEND)
    for blob in blobs:
        if not 0 < blob.numel() <= _LARGEST_BLOB:
            rule = f"gives blobs of 1 to {_LARGEST_BLOB} numbers"
            raise DropkitError(_title(layer), rule, tuple(blob.shape), _MEND)
    return tuple(tuple(blob.shape) for blob in blobs)


@contextmanager
def _told(layer: CaffeLayer) -> Iterator[None]:
    """Name the layer in what torch or a maker of the user's raises."""
    try:
        yield
    except DropkitError:
        raise
    except _FROM_TORCH as error:
        why = " ".join(str(error).split())[:200]
        raise DropkitError(_title(layer), f"can be built and run ({why})", layer.type, _MEND) from error


def _title(layer: CaffeLayer) -> str:
    return f"layer {layer.name!r} ({layer.type})"


def _unused(steps: tuple[CaffeStep, ...]) -> tuple[str, ...]:
    unused: dict[str, None] = {}
    for step in steps:
        for name in step.bottoms:
            unused.pop(name, None)
        unused |= dict.fromkeys(step.tops)
    return tuple(unused)


def _last(steps: tuple[CaffeStep, ...], outputs: tuple[str, ...]) -> list[list[str]]:
    """Return for each step the blobs that no later one needs: they would only fill memory."""
    place = {name: at for at, step in enumerate(steps) for name in (*step.bottoms, *step.tops)}
    last: list[list[str]] = [[] for _ in steps]
    for name, at in place.items():
        if name not in outputs:
            last[at].append(name)
    return last


def _share(model: CaffeModule, made: Sequence[tuple[CaffeLayer, tuple[Shape, ...]]]) -> None:
    """Give parameters of one name, `param { name: "w" }`, one tensor: that of the first layer."""
    first: dict[str, nn.Parameter] = {}
    for step, (layer, _) in zip(model.steps, made, strict=True):
        module = model.get_submodule(step.name)
        own = list(module.named_parameters(recurse=False))
        for (attribute, value), param in zip(own, layer.message.param, strict=False):
            shared = first.setdefault(param.name, value) if param.name else value
            if shared.shape != value.shape:
                rule = f"shares {param.name!r} with a layer of the same sizes"
                raise DropkitError(_title(layer), rule, tuple(value.shape), _MEND)
            setattr(module, attribute, shared)
