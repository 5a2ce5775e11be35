"""Nets of Caffe against OpenCV's importer of the same files, weights included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.caffe_nets import CONV, FC, LRN, POOL, compare, filled, layer, random_blobs, within, write

Array = np.ndarray[Any, Any]


SINGLE = {
    "conv": ("Convolution", f"{CONV} {{ num_output: 6 kernel_size: 3 }}"),
    "conv_group": ("Convolution", f"{CONV} {{ num_output: 6 kernel_size: 3 group: 2 pad: 1 stride: 2 }}"),
    "conv_dilated": (
        "Convolution",
        f"{CONV} {{ num_output: 6 kernel_size: 3 dilation: 2 pad: 2 bias_term: false }}",
    ),
    "conv_hw": (
        "Convolution",
        f"{CONV} {{ num_output: 3 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0 }}",
    ),
    "deconv": ("Deconvolution", f"{CONV} {{ num_output: 4 kernel_size: 4 stride: 2 pad: 1 }}"),
    "deconv_group": (
        "Deconvolution",
        f"{CONV} {{ num_output: 4 kernel_size: 4 stride: 2 pad: 1 group: 4 bias_term: false }}",
    ),
    "fc": ("InnerProduct", f"{FC} {{ num_output: 7 }}"),
    "fc_axis": ("InnerProduct", f"{FC} {{ num_output: 7 axis: 3 }}"),
    "fc_no_bias": ("InnerProduct", f"{FC} {{ num_output: 7 bias_term: false axis: 2 }}"),
    "max": ("Pooling", f"{POOL} {{ kernel_size: 3 stride: 2 }}"),
    "max_pad": ("Pooling", f"{POOL} {{ kernel_size: 3 stride: 2 pad: 1 }}"),
    "max_wide_pad": ("Pooling", f"{POOL} {{ kernel_size: 3 stride: 1 pad: 2 }}"),
    "max_hw": ("Pooling", f"{POOL} {{ kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 3 pad_h: 0 pad_w: 1 }}"),
    "max_global": ("Pooling", f"{POOL} {{ pool: MAX global_pooling: true }}"),
    "average": ("Pooling", f"{POOL} {{ pool: AVE kernel_size: 3 stride: 2 }}"),
    "average_pad": ("Pooling", f"{POOL} {{ pool: AVE kernel_size: 3 stride: 2 pad: 1 }}"),
    "average_odd_pad": ("Pooling", f"{POOL} {{ pool: AVE kernel_size: 4 stride: 3 pad: 1 }}"),
    "average_global": ("Pooling", f"{POOL} {{ pool: AVE global_pooling: true }}"),
    "lrn": ("LRN", f"{LRN} {{ local_size: 3 alpha: 0.7 beta: 0.6 }}"),
    "lrn_within": ("LRN", f"{LRN} {{ local_size: 3 alpha: 0.7 beta: 0.6 norm_region: WITHIN_CHANNEL }}"),
    "batch_norm": ("BatchNorm", "batch_norm_param { eps: 0.01 }"),
    "scale": ("Scale", "scale_param { bias_term: true }"),
    "scale_only": ("Scale", ""),
    "softmax": ("Softmax", ""),
    "softmax_axis": ("Softmax", "softmax_param { axis: -1 }"),
    "relu": ("ReLU", ""),
    "leaky": ("ReLU", "relu_param { negative_slope: 0.1 }"),
    "prelu": ("PReLU", ""),
    "prelu_shared": ("PReLU", "prelu_param { channel_shared: true }"),
    "elu": ("ELU", "elu_param { alpha: 1 }"),
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "abs": ("AbsVal", ""),
    "bnll": ("BNLL", ""),
    "power": ("Power", "power_param { power: 2 scale: 0.5 shift: 1 }"),
    "exp": ("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"),
    "exp_e": ("Exp", ""),
    "flatten": ("Flatten", ""),
    "flatten_axes": ("Flatten", "flatten_param { axis: 2 end_axis: 3 }"),
    "reshape": ("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 4 } }"),
    "reshape_axis": ("Reshape", "reshape_param { shape { dim: 2 dim: 2 } axis: 1 num_axes: 1 }"),
    "dropout": ("Dropout", "dropout_param { dropout_ratio: 0.7 }"),
    "dropout_eval": ("Dropout", "dropout_param { dropout_ratio: 0.7 scale_train: false }"),
}


@pytest.mark.parametrize(("type", "rest"), SINGLE.values(), ids=SINGLE)
def test_a_layer_does_what_it_does_in_opencv(tmp_path: Path, type: str, rest: str) -> None:
    text = (
        layer("head", "Power", "data", rest="power_param { shift: -0.3 }") if type not in ("Power",) else ""
    )
    compare(write(tmp_path, text + layer("it", type, "head" if text else "data", rest=rest)))


def ends(*tops: str) -> str:
    # OpenCV gives out a layer's second and later blobs only where another layer takes them.
    return "".join(layer(f"{top}_end", "Sigmoid", top) for top in tops)


SEVERAL = {
    "log": layer("it", "Log", "data"),
    "scale_axes": layer("it", "Scale", "data", rest="scale_param { num_axes: 2 bias_term: true }"),
    "scale_by_a_blob": layer("by", "Sigmoid", "data")
    + layer("it", "Scale", "data by", rest="scale_param { axis: 0 }"),
    "scale_by_channels": layer("mean", "Pooling", "data", rest=f"{POOL} {{ pool: AVE global_pooling: true }}")
    + layer("by", "Flatten", "mean")
    + layer("it", "Scale", "data by", rest="scale_param { axis: 0 }"),
    "slice": layer("it", "Slice", "data", "a b c", "slice_param { slice_point: 1 slice_point: 3 }")
    + ends("a", "b", "c"),
    "slice_axis": layer("it", "Slice", "data", "a b", "slice_param { axis: 2 slice_point: 4 }")
    + ends("a", "b"),
    "slice_even": layer("it", "Slice", "data", "a b") + ends("a", "b"),
    "split": layer("it", "Split", "data", "a b")
    + layer("s", "Sigmoid", "a")
    + layer("sum", "Eltwise", "s b"),
    "concat_axis": layer("s", "Sigmoid", "data")
    + layer("it", "Concat", "data s", rest="concat_param { axis: 2 }"),
    "power_of_a_root": layer("it", "Power", "data", rest="power_param { power: 0.5 scale: 2 shift: 0.1 }"),
    "exp_of_ten": layer("it", "Exp", "data", rest="exp_param { base: 10 }"),
    "frozen": layer("it", "BatchNorm", "data", rest="batch_norm_param { use_global_stats: true }"),
    "exp_of_two_in_v1": 'layers { name: "it" type: EXP bottom: "data" top: "it" exp_param { base: 2 } }',
    "flatten_from_behind": layer("it", "Flatten", "data", rest="flatten_param { axis: -2 }"),
}


@pytest.mark.parametrize("text", SEVERAL.values(), ids=SEVERAL)
def test_layers_do_what_they_do_in_opencv(tmp_path: Path, text: str) -> None:
    compare(write(tmp_path, text))


def neighbours(x: Array) -> Array:
    return np.stack([np.square(x[:, max(0, at - 1) : at + 2]).sum(1) for at in range(4)], 1)


# What OpenCV's importer passes over or does not know, by the formulas of Caffe's own sources.
FORMULAS: dict[str, tuple[str, Callable[..., Array]]] = {
    "reshape_from_behind": (
        layer("it", "Reshape", "data", rest="reshape_param { shape { dim: 72 } axis: -3 }"),
        lambda x: x.reshape(2, 4, 72),
    ),
    # lrn_layer.cpp starts its sums from k.
    "lrn_k": (
        layer("it", "LRN", "data", rest=f"{LRN} {{ local_size: 3 alpha: 0.7 beta: 0.6 k: 2 }}"),
        lambda x: x / (2 + 0.7 / 3 * neighbours(x)) ** 0.6,
    ),
    "log_to_base": (
        layer("it", "Log", "data", rest="log_param { base: 2 scale: 0.5 shift: 1 }"),
        lambda x: np.log2(1 + 0.5 * x),
    ),
    "product_turned": (
        layer("it", "InnerProduct", "data", rest=f"{FC} {{ num_output: 7 transpose: true }}"),
        lambda x, weight, bias: x.reshape(2, -1) @ weight + bias,
    ),
    "bias": (
        layer("it", "Bias", "data", rest="bias_param { num_axes: 2 }"),
        lambda x, bias: x + bias[:, :, None],
    ),
    "bias_of_a_blob": (
        layer("by", "Power", "data", rest="power_param { scale: 2 }")
        + layer("it", "Bias", "data by", rest="bias_param { axis: 0 }"),
        lambda x: x + 2 * x,
    ),
    # batch_norm_layer.cpp takes the batch's statistics in the phase of tests too where the file says false.
    "of_the_batch": (
        layer("it", "BatchNorm", "data", rest="batch_norm_param { use_global_stats: false }"),
        lambda x, *_: (
            (x - x.mean((0, 2, 3), keepdims=True)) / np.sqrt(x.var((0, 2, 3), keepdims=True) + 1e-5)
        ),
    ),
    "concat_dim": (
        layer("by", "Power", "data", rest="power_param { scale: 2 }")
        + layer("it", "Concat", "data by", rest="concat_param { concat_dim: 3 }"),
        lambda x: np.concatenate([x, 2 * x], 3),
    ),
    "slice_dim": (
        layer("it", "Slice", "data", "a b", "slice_param { slice_dim: 3 slice_point: 3 }")
        + layer("c", "Concat", "b a", rest="concat_param { axis: 3 }"),
        lambda x: np.concatenate([x[..., 3:], x[..., :3]], 3),
    ),
}


@pytest.mark.parametrize(("text", "formula"), FORMULAS.values(), ids=FORMULAS)
def test_where_opencv_leaves_caffe(tmp_path: Path, text: str, formula: Callable[..., Array]) -> None:
    path = write(tmp_path, text)
    with pytest.raises((AssertionError, cv2.error)):
        compare(path)
    model, _ = filled(path)
    x = torch.rand(2, 4, 9, 8) + 0.1
    blobs = random_blobs(model).get("it", [])
    right = torch.from_numpy(formula(*(each.astype(np.float64) for each in (x.numpy(), *blobs))))
    exact, bounds = within(model, [x])
    with torch.no_grad():
        made = model(x).double()
    for found in (exact[model.outputs[0]], made):
        assert ((found - right).abs() <= bounds[model.outputs[0]]).all()


def test_the_page_names_where_opencv_leaves_caffe() -> None:
    page = (Path(__file__).parents[3] / "docs" / "migrate.md").read_text()
    told = page[page.index("outputs of OpenCV's importer") :].partition("\n\n")[0]
    words = {
        "reshape_from_behind": "`axis` of a Reshape below 0",
        "lrn_k": "`k` of an LRN",
        "log_to_base": "`base` of a Log",
        "product_turned": "`transpose` of an InnerProduct",
        "bias": "the type Bias",
        "bias_of_a_blob": "the type Bias",
        "of_the_batch": "`use_global_stats: false` of a BatchNorm",
        "concat_dim": "`concat_dim`",
        "slice_dim": "`slice_dim`",
    }
    assert set(words) == set(FORMULAS)
    assert [word for word in words.values() if word not in " ".join(told.split())] == []


def alexnet(*, pooled_first: bool = False) -> str:
    norm = f"{LRN} {{ local_size: 5 alpha: 0.5 beta: 0.75 }}"
    pool = f"{POOL} {{ pool: MAX kernel_size: 3 stride: 2 }}"
    middle = [("norm1", "LRN", norm), ("pool1", "Pooling", pool)]
    (first, one, how), (second, two, then) = middle[::-1] if pooled_first else middle
    return (
        layer("conv1", "Convolution", "data", rest=f"{CONV} {{ num_output: 8 kernel_size: 7 stride: 2 }}")
        + layer("relu1", "ReLU", "conv1", "conv1")
        + layer(first, one, "conv1", rest=how)
        + layer(second, two, first, rest=then)
        + layer(
            "conv2", "Convolution", second, rest=f"{CONV} {{ num_output: 12 pad: 2 kernel_size: 5 group: 2 }}"
        )
        + layer("relu2", "ReLU", "conv2", "conv2")
        + layer("pool2", "Pooling", "conv2", rest=pool)
        + layer("fc6", "InnerProduct", "pool2", rest=f"{FC} {{ num_output: 30 }}")
        + layer("relu6", "ReLU", "fc6", "fc6")
        + layer("drop6", "Dropout", "fc6", "fc6", "dropout_param { dropout_ratio: 0.5 }")
        + layer("fc8", "InnerProduct", "fc6", rest=f"{FC} {{ num_output: 10 }}")
        + layer("prob", "Softmax", "fc8")
    )


ALEXNET, CAFFENET = alexnet(), alexnet(pooled_first=True)
VGG = (
    "".join(
        layer(
            f"conv{at}", "Convolution", below, rest=f"{CONV} {{ num_output: {width} pad: 1 kernel_size: 3 }}"
        )
        + layer(f"relu{at}", "ReLU", f"conv{at}", f"conv{at}")
        + layer(f"pool{at}", "Pooling", f"conv{at}", rest=f"{POOL} {{ pool: MAX kernel_size: 2 stride: 2 }}")
        for at, below, width in [(1, "data", 8), (2, "pool1", 16)]
    )
    + layer("fc6", "InnerProduct", "pool2", rest=f"{FC} {{ num_output: 30 }}")
    + layer("drop6", "Dropout", "fc6", "fc6")
    + layer("prob", "Softmax", "fc6")
)


def inception(name: str, bottom: str) -> str:
    def conv(part: str, below: str, width: int, size: int) -> str:
        rest = f"{CONV} {{ num_output: {width} kernel_size: {size} pad: {size // 2} }}"
        return layer(f"{name}/{part}", "Convolution", below, rest=rest) + layer(
            f"{name}/relu_{part}", "ReLU", f"{name}/{part}", f"{name}/{part}"
        )

    return (
        conv("1x1", bottom, 4, 1)
        + conv("3x3_reduce", bottom, 3, 1)
        + conv("3x3", f"{name}/3x3_reduce", 6, 3)
        + layer(
            f"{name}/pool", "Pooling", bottom, rest=f"{POOL} {{ pool: MAX kernel_size: 3 stride: 1 pad: 1 }}"
        )
        + conv("pool_proj", f"{name}/pool", 2, 1)
        + layer(f"{name}/output", "Concat", f"{name}/1x1 {name}/3x3 {name}/pool_proj")
    )


GOOGLENET = (
    layer(
        "conv1/7x7_s2",
        "Convolution",
        "data",
        rest=f"{CONV} {{ num_output: 8 pad: 3 kernel_size: 7 stride: 2 }}",
    )
    + layer("pool1", "Pooling", "conv1/7x7_s2", rest=f"{POOL} {{ pool: MAX kernel_size: 3 stride: 2 }}")
    + inception("inception_3a", "pool1")
    + inception("inception_3b", "inception_3a/output")
    + layer(
        "pool5", "Pooling", "inception_3b/output", rest=f"{POOL} {{ pool: AVE kernel_size: 8 stride: 1 }}"
    )
    + layer("drop", "Dropout", "pool5", "pool5", "dropout_param { dropout_ratio: 0.4 }")
    + layer("classifier", "InnerProduct", "pool5", rest=f"{FC} {{ num_output: 10 }}")
    + layer("prob", "Softmax", "classifier")
)
RESNET = (
    layer(
        "conv",
        "Convolution",
        "data",
        rest=f"{CONV} {{ num_output: 4 pad: 1 kernel_size: 3 bias_term: false }}",
    )
    + layer("bn", "BatchNorm", "conv", "conv", "batch_norm_param { use_global_stats: true }")
    + layer("scale", "Scale", "conv", "conv", "scale_param { bias_term: true }")
    + layer("sum", "Eltwise", "conv data", rest="eltwise_param { coeff: 0.5 coeff: -2 }")
    + layer("prod", "Eltwise", "sum data", rest="eltwise_param { operation: PROD }")
    + layer("max", "Eltwise", "sum prod", rest="eltwise_param { operation: MAX }")
)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (ALEXNET, (2, 3, 51, 51)),
        (CAFFENET, (2, 3, 51, 51)),
        (VGG, (2, 3, 16, 16)),
        (GOOGLENET, (2, 3, 32, 32)),
        (RESNET, (2, 4, 8, 8)),
    ],
    ids=["alexnet", "caffenet", "vgg", "googlenet", "resnet"],
)
def test_a_net_does_what_it_does_in_opencv(tmp_path: Path, text: str, shape: tuple[int, ...]) -> None:
    model = compare(write(tmp_path, text, shape))
    assert not model.unknown
    assert [name for name, _ in model.named_children()] == [each.name for each in model.steps]


def test_caffenet_pools_before_it_normalizes(tmp_path: Path) -> None:
    """The same weights give other outputs than AlexNet's, so a comparison of one is none of the other."""
    x = torch.rand(2, 3, 51, 51, generator=torch.Generator().manual_seed(1)) + 0.1
    (one, bound), (other, _) = (
        within(filled(write(tmp_path, text, (2, 3, 51, 51)))[0], [x]) for text in (ALEXNET, CAFFENET)
    )
    assert ((one["prob"] - other["prob"]).abs() > 2 * bound["prob"]).any()
