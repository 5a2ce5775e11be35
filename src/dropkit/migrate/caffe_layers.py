"""Which module each layer type of Caffe becomes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from torch import nn

from dropkit.core.check import RATE, DropkitError
from dropkit.migrate import caffe_modules as own
from dropkit.migrate.caffe import CaffeLayer, written
from dropkit.migrate.caffe_batch_norm import BatchNormOfBatch, FrozenBatchNorm
from dropkit.torch.layers import Dropout

__all__ = ["MAKERS", "Maker", "Row", "is_data", "is_end"]

Shape: TypeAlias = tuple[int, ...]
Maker: TypeAlias = Callable[[CaffeLayer, tuple[Shape, ...]], nn.Module]

_DATA = (
    *("Input", "Data", "DummyData", "HDF5Data", "ImageData", "MemoryData", "WindowData", "AnnotatedData"),
    *("Python", "Parameter"),
)
_ENDS = ("Accuracy", "HDF5Output", "Silence")
_MEND = "mend it in the file"
_MEND_MASK = (
    "take the second out of the file if no layer takes it, or give own={'Pooling': maker} that makes both"
)
_MOST = 2**31
_MANY = 2**31


class Row(NamedTuple):
    """How a type is made, and how many blobs it takes at least and at most."""

    make: Maker
    least: int = 1
    most: int = 1


def is_data(layer: CaffeLayer) -> bool:
    """Return whether a layer only brings blobs in from outside."""
    return layer.type in _DATA and not layer.bottoms


def is_end(layer: CaffeLayer) -> bool:
    """Return whether a layer is a loss, or measures or swallows blobs: results are made without it."""
    return layer.type in _ENDS or layer.type.endswith("Loss")


def _convolution(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param, shape = layer.message.convolution_param, shapes[0]
    axes = len(shape) - 2
    if axes not in (1, 2, 3) or _axis(layer, param.axis, shape) != 1:
        raise _refused(layer, "slides over one to three axes behind the channels", shape)
    sizes = {
        "kernel_size": _sizes(layer, param, "kernel_size", "kernel", None, axes),
        "stride": _sizes(layer, param, "stride", "stride", 1, axes),
        "padding": _sizes(layer, param, "pad", "pad", 0, axes),
        "dilation": _sizes(layer, param, "dilation", None, 1, axes),
    }
    for name in ("num_output", "group"):
        if getattr(param, name) < 1:
            raise _refused(layer, f"has a {name} of 1 or more", getattr(param, name))
    deconvolution = layer.type == "Deconvolution"
    kind: Any = getattr(nn, f"Conv{'Transpose' if deconvolution else ''}{axes}d")
    made: nn.Module = kind(shape[1], param.num_output, groups=param.group, bias=param.bias_term, **sizes)
    return made


def _sizes(
    layer: CaffeLayer, param: Any, name: str, short: str | None, default: int | None, axes: int
) -> Shape:
    """Return a size for each axis: `pad: 1`, `pad: [1, 2]` or `pad_h: 1 pad_w: 2`."""
    if param.DESCRIPTOR.fields_by_name[name].is_repeated:
        given = list(getattr(param, name))
    else:
        given = [getattr(param, name)] if param.HasField(name) else []
    pair = [f"{short}_h", f"{short}_w"]
    if short and any(map(param.HasField, pair)):
        if given or axes != 2 or not all(map(param.HasField, pair)):
            raise _refused(layer, f"has {pair[0]} and {pair[1]}, or {name} in their place", given)
        given = [getattr(param, each) for each in pair]
    given = given or ([] if default is None else [default])
    if len(given) not in (1, axes):
        raise _refused(layer, f"has one {name}, or one for each axis", given)
    if default != 0 and min(given) < 1:
        raise _refused(layer, f"has a {name} of 1 or more", given)
    return tuple(given * (axes if len(given) == 1 else 1))


def _inner_product(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.inner_product_param
    axis = _axis(layer, param.axis, shapes[0], end=True)
    if param.num_output < 1:
        raise _refused(layer, "has a num_output of 1 or more", param.num_output)
    inner = math.prod(shapes[0][axis:])
    return own.InnerProduct(inner, param.num_output, param.bias_term, axis=axis, transpose=param.transpose)


def _pooling(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param, words = layer.message.pooling_param, ("max", "average")
    _has_rank(layer, shapes[0], 4)
    if param.pool >= len(words):
        raise _refused(layer, "has MAX or AVE as its pool", "STOCHASTIC")
    if param.pool == 0 and len(layer.tops) == 2:
        rule = "has one top, as the mask that MAX may give for a second is not rebuilt"
        raise _refused(layer, rule, list(layer.tops), _MEND_MASK)
    kind: Any = words[param.pool]
    sizes: list[Any] = [
        _sizes(layer, param, *each, 2) for each in (("stride", "stride", 1), ("pad", "pad", 0))
    ]
    if param.global_pooling:
        if sizes != [(1, 1), (0, 0)]:
            raise _refused(layer, "has stride 1 and pad 0 where it is global", sizes)
        return own.Pool(kind, None)
    kernel: Any = _sizes(layer, param, "kernel_size", "kernel", None, 2)
    if any(pad >= size for pad, size in zip(sizes[1], kernel, strict=True)):
        raise _refused(layer, "has a pad below its kernel_size", sizes[1])
    ceil = not (param.HasField("round_mode") and param.round_mode == 1)
    return own.Pool(kind, kernel, *sizes, ceil=ceil)


def _lrn(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.lrn_param
    if param.local_size % 2 == 0:
        raise _refused(layer, "has an odd local_size", param.local_size)
    _has_rank(layer, shapes[0], 4)
    if param.norm_region:
        return own.LocalNorm(param.local_size, written(param.alpha), written(param.beta))
    alpha, beta, k = map(written, (param.alpha, param.beta, param.k))
    return nn.LocalResponseNorm(param.local_size, alpha, beta, k)


def _batch_norm(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param, rank = layer.message.batch_norm_param, len(shapes[0])
    if rank not in (2, 3, 4, 5):
        raise _refused(layer, "takes two to five axes", shapes[0])
    momentum = 1 - written(param.moving_average_fraction)
    kinds: Any = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
    kind = kinds[rank]
    if param.HasField("use_global_stats"):  # else the phase decides, as in PyTorch
        kind = FrozenBatchNorm if param.use_global_stats else BatchNormOfBatch
    made: nn.Module = kind(shapes[0][1], eps=written(param.eps), momentum=momentum, affine=False)
    return made


def _scale(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.scale_param
    axis, shape = _span(layer, param, shapes)
    return own.Scale(shape, axis, learned=len(shapes) == 1, bias=param.bias_term)


def _bias(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    axis, shape = _span(layer, layer.message.bias_param, shapes)
    return own.Bias(shape, axis, learned=len(shapes) == 1)


def _span(layer: CaffeLayer, param: Any, shapes: tuple[Shape, ...]) -> tuple[int, Shape]:
    first = shapes[0]
    if len(shapes) == 2 and not shapes[1]:
        return 0, ()
    axis = _axis(layer, param.axis, first)
    end = axis + len(shapes[1]) if len(shapes) == 2 else axis + param.num_axes
    if len(shapes) == 1 and param.num_axes == -1:
        end = len(first)
    if not axis <= end <= len(first) or (len(shapes) == 2 and shapes[1] != first[axis:end]):
        raise _refused(layer, "has a factor or bias that spans axes of its input", shapes)
    return axis, first[axis:end]


def _eltwise(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.eltwise_param
    if len(set(shapes)) > 1:
        raise _refused(layer, "takes blobs of one shape", shapes[:4])
    if param.coeff and (len(param.coeff) != len(shapes) or param.operation != 1):
        raise _refused(layer, "has a coeff for each blob, and only for SUM", list(param.coeff[:4]))
    kinds: tuple[Literal["prod", "sum", "max"], ...] = ("prod", "sum", "max")
    return own.Eltwise(kinds[param.operation], tuple(map(written, param.coeff)))


def _concat(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    return own.Concat(_axis(layer, _axis_or_dim(layer, "concat"), shapes[0]))


def _slice(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    axis = _axis(layer, _axis_or_dim(layer, "slice"), shapes[0])
    length, tops = shapes[0][axis], len(layer.tops)
    points = list(layer.message.slice_param.slice_point)
    if not points and tops and length % tops == 0:
        points = [place * (length // tops) for place in range(1, tops)]
    ends = [0, *points, length]
    sizes = [end - start for start, end in itertools.pairwise(ends)]
    if len(sizes) != tops or min(sizes) < 1:
        raise _refused(layer, f"cuts {length} entries into {tops} parts", points[:8])
    return own.Slice(axis, sizes)


def _axis_or_dim(layer: CaffeLayer, word: str) -> int:
    param = getattr(layer.message, f"{word}_param")
    old = f"{word}_dim"
    return int(getattr(param, old) if param.HasField(old) else param.axis)


def _reshape(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param, rank = layer.message.reshape_param, len(shapes[0])
    start = param.axis if param.axis >= 0 else rank + 1 + param.axis
    end = rank if param.num_axes == -1 else start + param.num_axes
    sizes = tuple(param.shape.dim)
    zeros = [start + place for place, size in enumerate(sizes) if size == 0]
    if not 0 <= start <= end <= rank or any(place >= rank for place in zeros):
        raise _refused(layer, "reshapes axes that its input has", shapes[0])
    if sizes and (min(sizes) < -1 or max(sizes) >= _MOST):
        raise _refused(layer, "has sizes of -1, 0 or more", sizes)
    return own.Reshape(sizes, start, None if end == rank else end)


def _flatten(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.flatten_param
    return nn.Flatten(_axis(layer, param.axis, shapes[0]), _axis(layer, param.end_axis, shapes[0]))


def _softmax(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    return nn.Softmax(_axis(layer, layer.message.softmax_param.axis, shapes[0]))


def _dropout(layer: CaffeLayer, _: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.dropout_param
    ratio = RATE.check(f"dropout_ratio of layer {layer.name!r}", written(param.dropout_ratio))
    return Dropout(ratio, scale="train" if param.scale_train else "eval")


def _relu(layer: CaffeLayer, _: tuple[Shape, ...]) -> nn.Module:
    slope = written(layer.message.relu_param.negative_slope)
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _prelu(layer: CaffeLayer, shapes: tuple[Shape, ...]) -> nn.Module:
    if len(shapes[0]) < 2:
        raise _refused(layer, "takes two axes or more", shapes[0])
    return nn.PReLU(1 if layer.message.prelu_param.channel_shared else shapes[0][1], init=0.25)


def _elu(layer: CaffeLayer, _: tuple[Shape, ...]) -> nn.Module:
    return nn.ELU(written(layer.message.elu_param.alpha))


def _power(layer: CaffeLayer, _: tuple[Shape, ...]) -> nn.Module:
    param = layer.message.power_param
    return own.Power(*map(written, (param.power, param.scale, param.shift)))


def _exp(layer: CaffeLayer, _: tuple[Shape, ...]) -> nn.Module:
    param, kind = (
        (layer.message.exp_param, own.Exp) if layer.type == "Exp" else (layer.message.log_param, own.Log)
    )
    return kind(*map(written, (param.base, param.scale, param.shift)))


def _axis(layer: CaffeLayer, axis: int, shape: Sequence[int], *, end: bool = False) -> int:
    rank = len(shape)
    if not -rank <= axis < rank + end:
        raise _refused(layer, f"has an axis of its {rank}", axis)
    return axis if axis >= 0 else axis + rank


def _has_rank(layer: CaffeLayer, shape: Shape, rank: int) -> None:
    if len(shape) != rank:
        raise _refused(layer, f"takes {rank} axes", shape)


def _refused(layer: CaffeLayer, rule: str, value: object, mend: str = _MEND) -> DropkitError:
    return DropkitError(f"layer {layer.name!r} ({layer.type})", rule, value, mend)


def _plain(kind: Callable[[], nn.Module]) -> Maker:
    return lambda _, __: kind()


MAKERS: Mapping[str, Row] = {
    "AbsVal": Row(_plain(own.Abs)),
    "BNLL": Row(_plain(nn.Softplus)),
    "BatchNorm": Row(_batch_norm),
    "Bias": Row(_bias, most=2),
    "Concat": Row(_concat, most=_MANY),
    "Convolution": Row(_convolution),
    "Deconvolution": Row(_convolution),
    "Dropout": Row(_dropout),
    "ELU": Row(_elu),
    "Eltwise": Row(_eltwise, least=2, most=_MANY),
    "Exp": Row(_exp),
    "Flatten": Row(_flatten),
    "InnerProduct": Row(_inner_product),
    "LRN": Row(_lrn),
    "Log": Row(_exp),
    "PReLU": Row(_prelu),
    "Pooling": Row(_pooling),
    "Power": Row(_power),
    "ReLU": Row(_relu),
    "Reshape": Row(_reshape),
    "Scale": Row(_scale, most=2),
    "Sigmoid": Row(_plain(nn.Sigmoid)),
    "Slice": Row(_slice),
    "Softmax": Row(_softmax),
    "Split": Row(lambda layer, _: own.Split(len(layer.tops))),
    "TanH": Row(_plain(nn.Tanh)),
}
"""By the type's name in Caffe."""
