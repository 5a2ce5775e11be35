"""Nets of Caffe against OpenCV's importer of the same files, weights included."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.migrate import rebuild_caffe
from dropkit.migrate.caffe_modules import NotRebuilt
from dropkit.migrate.caffe_rebuild import CaffeModule
from dropkit.migrate.caffe_schema import net_class

# Both compute in float32; sums of a few thousand terms in another order differ by some 1e-6 of their size.
CLOSE = 2e-5


def write(tmp_path: Path, text: str, shape: tuple[int, ...] = (2, 4, 9, 8)) -> Path:
    dims = " ".join(f"dim: {size}" for size in shape)
    head = "" if "input:" in text else f'input: "data" input_shape {{ {dims} }}\n'
    path = tmp_path / "net.prototxt"
    path.write_text(f'name: "net"\n{head}{text}', encoding="utf-8")
    return path


def layer(name: str, type: str, bottom: str, top: str = "", rest: str = "") -> str:
    bottoms = " ".join(f'bottom: "{each}"' for each in bottom.split())
    tops = " ".join(f'top: "{each}"' for each in (top or name).split())
    return f'layer {{ name: "{name}" type: "{type}" {bottoms} {tops} {rest} }}\n'


def blobs(module: nn.Module) -> list[np.ndarray]:
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        assert module.running_mean is not None
        assert module.running_var is not None
        module.running_mean.normal_()
        module.running_var.uniform_(0.5, 2)
        # Caffe's statistics are sums, and the third blob is what they are divided by.
        statistics = (module.running_mean, module.running_var)
        return [*(4 * each.numpy() for each in statistics), np.array([4.0], np.float32)]
    return [value.detach().numpy() for value in module.parameters(recurse=False)]


def caffemodel(path: Path, model: CaffeModule) -> Path:
    message = net_class()(name="net")
    for step in model.steps:
        arrays = blobs(model.get_submodule(step.name))
        if arrays:
            new = message.layer.add(name=step.name, type=step.type)
            for array in arrays:
                blob = new.blobs.add(data=array.ravel().tolist())
                blob.shape.dim.extend(array.shape)
    target = path.with_suffix(".caffemodel")
    target.write_bytes(message.SerializeToString())
    return target


def opencv(path: Path, weights: Path, x: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    net = cv2.dnn.readNetFromCaffe(str(path), str(weights))
    for name, value in x.items():
        net.setInput(value, name)
    return [np.asarray(each) for each in net.forward(outputs)]


def compare(path: Path, seed: int = 0) -> CaffeModule:
    """Rebuild a net, and run it and OpenCV's with the same random weights and inputs."""
    torch.manual_seed(seed)
    model = rebuild_caffe(path)
    for value in model.parameters():
        if value.dim() < 2:
            nn.init.uniform_(value, 0.1, 1)
    weights = caffemodel(path, model)
    x = {name: torch.rand(shape) + 0.1 for name, shape in model.inputs.items()}
    with torch.no_grad():
        made = model(*x.values())
    found = made if isinstance(made, dict) else {model.outputs[0]: made}
    # OpenCV names an output by the layer that gives it, "slice.1" where it gives several.
    names = {
        top: [step.name, *[f"{step.name}.{at}"] * (at > 0)][-1]
        for step in model.steps
        for at, top in enumerate(step.tops)
    }
    expected = opencv(path, weights, {k: v.numpy() for k, v in x.items()}, [names[top] for top in found])
    for (top, ours), theirs in zip(found.items(), expected, strict=True):
        assert tuple(ours.shape) == theirs.shape, top
        assert torch.isfinite(ours).all()
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=CLOSE, atol=CLOSE)
    return model


CONV, POOL, LRN, FC = "convolution_param", "pooling_param", "lrn_param", "inner_product_param"
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


def test_where_opencv_leaves_caffe(tmp_path: Path) -> None:
    """Caffe's LRN starts its sums from k (lrn_layer.cpp, `scale_data[i] = k_`): OpenCV passes k over."""
    text = layer("it", "LRN", "data", rest="lrn_param { local_size: 3 alpha: 0.7 beta: 0.6 k: 2 }")
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        compare(write(tmp_path, text))
    x = torch.rand(2, 4, 9, 8)
    sums = torch.stack([x[:, max(0, at - 1) : at + 2].square().sum(1) for at in range(4)], 1)
    made = rebuild_caffe(tmp_path / "net.prototxt")(x)
    torch.testing.assert_close(made, x / (2 + 0.7 / 3 * sums) ** 0.6)


ALEXNET = (
    layer("conv1", "Convolution", "data", rest=f"{CONV} {{ num_output: 8 kernel_size: 7 stride: 2 }}")
    + layer("relu1", "ReLU", "conv1", "conv1")
    + layer("norm1", "LRN", "conv1", rest=f"{LRN} {{ local_size: 5 alpha: 0.0001 beta: 0.75 }}")
    + layer("pool1", "Pooling", "norm1", rest=f"{POOL} {{ pool: MAX kernel_size: 3 stride: 2 }}")
    + layer(
        "conv2", "Convolution", "pool1", rest=f"{CONV} {{ num_output: 12 pad: 2 kernel_size: 5 group: 2 }}"
    )
    + layer("relu2", "ReLU", "conv2", "conv2")
    + layer("pool2", "Pooling", "conv2", rest=f"{POOL} {{ pool: MAX kernel_size: 3 stride: 2 }}")
    + layer("fc6", "InnerProduct", "pool2", rest=f"{FC} {{ num_output: 30 }}")
    + layer("relu6", "ReLU", "fc6", "fc6")
    + layer("drop6", "Dropout", "fc6", "fc6", "dropout_param { dropout_ratio: 0.5 }")
    + layer("fc8", "InnerProduct", "fc6", rest=f"{FC} {{ num_output: 10 }}")
    + layer("prob", "Softmax", "fc8")
)
# CaffeNet pools before it normalizes.
CAFFENET = (
    ALEXNET.replace('bottom: "conv1"  top: "norm1"', "")
    .replace('"norm1"', '"swap"')
    .replace('"pool1"', '"norm1"')
).replace('"swap"', '"pool1"')
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


def test_pooling_may_round_down(tmp_path: Path) -> None:
    rest = f"{POOL} {{ kernel_size: 2 stride: 2 round_mode: FLOOR }}"
    model = rebuild_caffe(write(tmp_path, layer("it", "Pooling", "data", rest=rest)))
    x = torch.rand(2, 4, 9, 8)
    assert torch.equal(model(x), nn.functional.max_pool2d(x, 2))


def test_several_outputs_are_a_dict(tmp_path: Path) -> None:
    text = layer("cut", "Slice", "data", "a b", "slice_param { slice_point: 1 }") + layer(
        "c", "Split", "b", "d e"
    )
    model = rebuild_caffe(write(tmp_path, text))
    x = torch.rand(2, 4, 3, 3)
    made = model(x)
    assert isinstance(made, dict)
    assert {name: tuple(each.shape) for name, each in made.items()} == {
        "a": (2, 1, 3, 3),
        "d": (2, 3, 3, 3),
        "e": (2, 3, 3, 3),
    }
    with pytest.raises(DropkitError, match="are 1 tensors, got 2"):
        model(x, x)


def test_the_phase_chooses_layers_and_mode_and_losses_are_left_out(tmp_path: Path) -> None:
    text = (
        layer("data", "Data", "", "data label", "include { phase: TRAIN }").replace('bottom: ""', "")
        + layer("drop", "Dropout", "data", "data", "dropout_param { dropout_ratio: 0.7 scale_train: false }")
        + layer("fc", "InnerProduct", "data", rest=f"{FC} {{ num_output: 3 }}")
        + layer("loss", "SoftmaxWithLoss", "fc label", "loss", "include { phase: TRAIN }")
        + layer("prob", "Softmax", "fc", rest="include { phase: TEST }")
    )
    path = write(tmp_path, text)
    train, test = (rebuild_caffe(path, phase=phase, inputs={"data": (2, 5)}) for phase in ("train", "test"))
    assert (train.training, train.outputs, test.training, test.outputs) == (True, ("fc",), False, ("prob",))
    assert train.left_out == (("data", "Data"), ("loss", "SoftmaxWithLoss"))
    assert repr(train.drop) == "Dropout(p=0.7, inplace=False, scale='eval')"
    drop = train.get_submodule("drop")
    assert (drop(torch.ones(1000)) == 0).any()


def test_an_unknown_type_is_named_and_can_be_given(tmp_path: Path) -> None:
    text = (
        layer("roi.1", "ROIPooling", "data", "x")
        + layer("fc", "InnerProduct", "x", rest=f"{FC} {{ num_output: 3 }}")
        + layer("relu", "ReLU", "data", "y")
    )
    path = write(tmp_path, text)
    model = rebuild_caffe(path)
    assert model.unknown == (("roi_1", "ROIPooling"),)
    assert [each.shapes for each in model.steps] == [(None,), (None,), ((2, 4, 9, 8),)]
    assert isinstance(model.fc, NotRebuilt)
    with pytest.raises(DropkitError, match="'ROIPooling' was not rebuilt"):
        model(torch.ones(2, 4, 9, 8))
    whole = rebuild_caffe(path, own={"ROIPooling": lambda layer, shapes: nn.AdaptiveMaxPool2d(3)})
    assert (whole.unknown, whole.steps[1].shapes, whole.get_parameter("fc.weight").shape[1]) == (
        (),
        ((2, 3),),
        36,
    )


def test_parameters_of_one_name_are_one(tmp_path: Path) -> None:
    rest = f'param {{ name: "w" }} param {{ name: "b" }} {FC} {{ num_output: 5 axis: -1 }}'
    text = layer("one", "InnerProduct", "data", rest=rest) + layer("two", "InnerProduct", "one", rest=rest)
    model = rebuild_caffe(write(tmp_path, text, (2, 5)))
    assert model.get_parameter("one.weight") is model.get_parameter("two.weight")
    assert sum(each.numel() for each in model.parameters()) == 30


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 4294967295 kernel_size: 3 }}"),
            "parameters",
        ),
        (layer("a", "InnerProduct", "data", rest=f"{FC} {{ num_output: 4294967295 }}"), "parameters"),
        (
            layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 kernel_size: 4294967295 }}"),
            "built and run",
        ),
        (
            layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 kernel_size: 1 pad: 99999 }}"),
            "numbers",
        ),
        (layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 }}"), "has one kernel_size"),
        (layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 kernel_size: 0 }}"), "1 or more"),
        (
            layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 kernel_size: 1 group: 2 }}"),
            "built and run",
        ),
        (layer("a", "Pooling", "data", rest=f"{POOL} {{ kernel_size: 1 stride: 3 }}"), "under every window"),
        (layer("a", "Pooling", "data", rest=f"{POOL} {{ pool: STOCHASTIC kernel_size: 1 }}"), "MAX or AVE"),
        (layer("a", "Pooling", "data", rest=f"{POOL} {{ kernel_size: 30 }}"), "as large as the kernel"),
        (layer("a", "LRN", "data", rest=f"{LRN} {{ local_size: 4 }}"), "odd local_size"),
        (layer("a", "ReLU", "nothing"), "inputs="),
        (layer("a", "ReLU", "data data"), "takes 1 of bottom"),
        (layer("a", "ReLU", "data") + layer("b", "ReLU", "data", "a"), "new names"),
        (
            layer("a", "Concat", "data " * 40)
            + layer("b", "Concat", "a " * 99)
            + layer("c", "Concat", "b " * 999),
            "blobs",
        ),
        (layer("loss", "SoftmaxWithLoss", "data"), "a layer to rebuild"),
        (layer("a", "ReLU", "data") * 5001, "at most 5000 layers"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DropkitError, match=says):
        rebuild_caffe(path)
