"""What a rebuilt net of Caffe is, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.caffe_nets import CONV, FC, LRN, POOL, layer, write
from tests.measured import printed
from torch import nn

from dropkit.core.check import DropkitError
from dropkit.migrate import rebuild_caffe
from dropkit.migrate.caffe_modules import NotRebuilt


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


def chain(count: int, type: str, rest: str = "", *, doubled: bool = False) -> str:
    bottoms = ["data", *(f"b{at}" for at in range(count))]
    return "".join(
        layer(f"b{at}", type, f"{bottoms[at]} {bottoms[at]}" if doubled else bottoms[at], rest=rest)
        for at in range(count)
    )


def many(count: int) -> str:
    return " ".join(f"t{at}" for at in range(count))


GREEDY = {
    "wide_product": layer("a", "InnerProduct", "data", rest=f"{FC} {{ num_output: 4294967295 }}"),
    "products_just_too_wide": chain(9, "InnerProduct", f"{FC} {{ num_output: 8192 }}"),
    "wide_convolution": layer(
        "a", "Convolution", "data", rest=f"{CONV} {{ num_output: 4294967295 kernel_size: 1 }}"
    ),
    "large_kernel": layer(
        "a", "Deconvolution", "data", rest=f"{CONV} {{ num_output: 4 kernel_size: 65535 }}"
    ),
    "large_padding": layer(
        "a", "Convolution", "data", rest=f"{CONV} {{ num_output: 3 kernel_size: 1 pad: 2147483647 }}"
    ),
    "large_pooling": layer(
        "a", "Pooling", "data", rest=f"{POOL} {{ kernel_size: 4000000000 pad: 3999999999 }}"
    ),
    "large_norm": layer("a", "LRN", "data", rest=f"{LRN} {{ local_size: 4294967295 }}")
    + layer("b", "ReLU", "nothing"),
    "large_upsampling": chain(9, "Deconvolution", f"{CONV} {{ num_output: 4 kernel_size: 1 stride: 64 }}"),
    "doubling": chain(40, "Concat", doubled=True),
    "large_reshape": layer(
        "a", "Reshape", "data", rest="reshape_param { shape { dim: 9223372036854775807 dim: -1 } }"
    ),
    "many_parts": layer("a", "Split", "data", many(9000)) + layer("b", "ReLU", "nothing"),
    "many_slices": layer("a", "Slice", "data", many(9000)),
    "many_bottoms": layer("a", "Concat", "data " * 9000) + layer("b", "ReLU", "nothing"),
    "many_bottoms_added": layer("a", "Eltwise", "data " * 9000) + layer("b", "ReLU", "nothing"),
    "many_layers": chain(5001, "ReLU"),
    "many_layers_and_an_error": chain(2000, "Sigmoid") + layer("b", "ReLU", "nothing"),
    "large_input": 'input: "data" input_shape { dim: 4294967296 dim: 4294967296 }'
    + layer("a", "ReLU", "data"),
    "statistics": 'input: "data" input_shape { dim: 1 dim: 2147483648 }' + layer("a", "BatchNorm", "data"),
    "factors": 'input: "data" input_shape { dim: 1 dim: 2147483648 }' + layer("a", "Scale", "data"),
}
REFUSED = """
from dropkit.core.check import DropkitError
from dropkit.migrate import rebuild_caffe
warm, *greedy = sys.argv[1:]
rebuild_caffe(warm)
for path in greedy:
    before = peak()
    try:
        rebuild_caffe(path)
    except DropkitError:
        print(peak() - before)
    else:
        print(2**62)
"""


def test_greedy_nets_are_refused_without_memory_for_them(tmp_path: Path) -> None:
    # torch loads a part of itself when the first layer with weights is made.
    warm = layer("a", "Convolution", "data", rest=f"{CONV} {{ num_output: 2 kernel_size: 1 }}")
    warm += layer("b", "InnerProduct", "a", rest=f"{FC} {{ num_output: 2 }}")
    paths = []
    for name, text in {"warm": warm, **GREEDY}.items():
        (tmp_path / name).mkdir()
        paths.append(write(tmp_path / name, text))
    grown = dict(zip(GREEDY, printed(REFUSED, *paths), strict=True))
    assert sum(grown.values()) < 64 * 2**20, grown


def test_the_mask_of_a_pooling_is_left_to_a_maker(tmp_path: Path) -> None:
    path = write(tmp_path, layer("pool", "Pooling", "data", "y mask", f"{POOL} {{ kernel_size: 3 }}"))
    with pytest.raises(
        DropkitError, match=r"the mask .* is not rebuilt, got \['y', 'mask'\]; take .* give own="
    ) as told:
        rebuild_caffe(path)
    assert "mend it in the file" not in str(told.value)
    whole = rebuild_caffe(path, own={"Pooling": lambda layer, _: nn.MaxPool2d(3, 1, return_indices=True)})
    assert (whole.outputs, whole.steps[0].shapes) == (("y", "mask"), ((2, 4, 7, 6),) * 2)
