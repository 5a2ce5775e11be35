"""Older forms of Caffe's layers: `layers { layer { type: "dropout" } }` and `layers { type: DROPOUT }`."""

from __future__ import annotations

from typing import Any

from dropkit.core.check import DropkitError

__all__ = ["upgrade"]

_IRREGULAR = {
    "ABSVAL": "AbsVal",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "IM2COL": "Im2col",
    "LRN": "LRN",
    "MVN": "MVN",
    "RELU": "ReLU",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "TANH": "TanH",
}
_V0_TYPES = {
    "conv": "Convolution",
    "pool": "Pooling",
    "innerproduct": "InnerProduct",
    "images": "ImageData",
    "lrn": "LRN",
    "relu": "ReLU",
    "tanh": "TanH",
    "bnll": "BNLL",
    "hdf5_data": "HDF5Data",
    "hdf5_output": "HDF5Output",
    "softmax_loss": "SoftmaxWithLoss",
}
_V0_PARAMS = {
    "conv": "convolution_param",
    "pool": "pooling_param",
    "innerproduct": "inner_product_param",
    "lrn": "lrn_param",
    "dropout": "dropout_param",
    "concat": "concat_param",
    "data": "data_param",
}
_V0_FIELDS = {
    "biasterm": "bias_term",
    "kernelsize": "kernel_size",
    "batchsize": "batch_size",
    "cropsize": "crop_size",
}


def upgrade(net: Any, source: str) -> None:
    """Bring the layers of a net into the form of today: all are in `net.layer` then.

    The first form pads in layers of its own: the convolution or pooling behind takes over their padding.
    """
    if net.layer and net.layers:
        rule = "has its layers in one form, all `layer` or all `layers`"
        raise DropkitError("path", rule, source, "write them all in one form")
    padding: dict[str, Any] = {}
    for old in net.layers:
        if old.layer.type == "padding":
            padding |= dict.fromkeys(old.top, old)
            continue
        new = net.layer.add()
        _take_fields(new, old)
        if old.HasField("layer"):
            _take_old_fields(new, old.layer)
            _take_padding(new, padding)
        elif old.HasField("type"):
            new.type = camel(old.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number[old.type].name)
    del net.layers[:]


def camel(word: str) -> str:
    """Return today's name of a layer type of the second form.

    >>> camel("INNER_PRODUCT"), camel("RELU")
    ('InnerProduct', 'ReLU')
    """
    return _IRREGULAR.get(word) or "".join(part.capitalize() for part in word.split("_"))


def _take_fields(new: Any, old: Any) -> None:
    for field, value in old.ListFields():
        if field.name == "param":
            for name in value:
                new.param.add(name=name)
        elif field.name not in ("type", "layer", "layers"):
            _put(new, field.name, value)


def _take_old_fields(new: Any, old: Any) -> None:
    new.type = _V0_TYPES.get(old.type) or camel(old.type)
    param = _V0_PARAMS.get(old.type)
    for field, value in old.ListFields():
        name = _V0_FIELDS.get(field.name, field.name)
        if name in ("name", "blobs"):
            _put(new, name, value)
        elif name == "crop_size":
            new.transform_param.crop_size = value
        elif param and name in new.DESCRIPTOR.fields_by_name[param].message_type.fields_by_name:
            _put(getattr(new, param), name, value)


def _put(message: Any, name: str, value: Any) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(message, name).extend([value] if isinstance(value, int) else value)
    elif field.message_type:
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)


def _take_padding(new: Any, padding: dict[str, Any]) -> None:
    for place, blob in enumerate(new.bottom):
        if blob in padding:
            new.bottom[place] = padding[blob].bottom[0]
            if new.type in ("Convolution", "Pooling"):
                param = new.convolution_param if new.type == "Convolution" else new.pooling_param
                _put(param, "pad", padding[blob].layer.pad)
    for blob in new.top:
        padding.pop(blob, None)
