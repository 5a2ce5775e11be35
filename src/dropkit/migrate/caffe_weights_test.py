"""Weights of .caffemodel files of all generations are loaded, and what does not fit is refused in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.caffe_nets import CONV, FC, layer, random_blobs, write
from tests.measured import printed

from dropkit.core.check import DropkitError
from dropkit.migrate import load_weights, rebuild_caffe
from dropkit.migrate.caffe_schema import net_class
from dropkit.migrate.caffe_wire import LARGEST_MODEL, MOST_FIELDS, find_blobs

NET = (
    layer("conv.1", "Convolution", "data", rest=f"{CONV} {{ num_output: 6 kernel_size: 3 group: 2 }}")
    + layer("norm", "BatchNorm", "conv.1")
    + layer("relu", "PReLU", "norm", rest="prelu_param { channel_shared: true }")
    + layer("fc", "InnerProduct", "relu", rest=f"{FC} {{ num_output: 5 }}")
    + layer("turned", "InnerProduct", "fc", rest=f"{FC} {{ num_output: 3 transpose: true }}")
)
TYPES = {
    "conv.1": ("Convolution", 4, "conv"),
    "norm": ("BatchNorm", 0, "bn"),
    "relu": ("PReLU", 0, "relu"),
    "fc": ("InnerProduct", 14, "innerproduct"),
    "turned": ("InnerProduct", 14, "innerproduct"),
}
Blobs = dict[str, list[np.ndarray]]


def put(blob: Any, array: np.ndarray, *, legacy: bool, double: bool) -> None:
    (blob.double_data if double else blob.data).extend(array.ravel().tolist())
    if legacy:
        sizes = (1,) * (4 - array.ndim) + array.shape
        blob.num, blob.channels, blob.height, blob.width = sizes
    else:
        blob.shape.dim.extend(array.shape)


def message(blobs: Blobs, form: str = "layer", *, legacy: bool = False, double: bool = False) -> Any:
    net = net_class()(name="net")
    for name, arrays in blobs.items():
        type, number, old = TYPES.get(name, ("InnerProduct", 14, "innerproduct"))
        if form == "layer":
            new = net.layer.add(name=name, type=type)
        elif form == "layers":
            new = net.layers.add(name=name, type=number)
        else:
            new = net.layers.add().layer
            new.name, new.type = name, old
        for array in arrays:
            put(new.blobs.add(), array, legacy=legacy, double=double)
    return net


def save(path: Path, net: Any) -> Path:
    path.write_bytes(net if isinstance(net, bytes) else net.SerializeToString())
    return path


def example(tmp_path: Path, **kind: Any) -> tuple[Path, Blobs, Path]:
    path = write(tmp_path, NET)
    blobs = random_blobs(rebuild_caffe(path))
    return path, blobs, save(tmp_path / "net.caffemodel", message(blobs, **kind))


@pytest.mark.parametrize("form", ["layer", "layers", "first"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("double", [False, True])
def test_files_of_all_generations_are_loaded(tmp_path: Path, form: str, legacy: bool, double: bool) -> None:
    path, blobs, weights = example(tmp_path, form=form, legacy=legacy, double=double)
    found = rebuild_caffe(path, weights=weights).state_dict()
    del found["norm.num_batches_tracked"]
    mean, variance, factor = blobs["norm"]
    wanted = {
        "conv_1.weight": blobs["conv.1"][0],
        "conv_1.bias": blobs["conv.1"][1],
        "norm.running_mean": mean / factor,
        "norm.running_var": variance / factor,
        "relu.weight": blobs["relu"][0],
        "fc.weight": blobs["fc"][0],
        "fc.bias": blobs["fc"][1],
        "turned.weight": blobs["turned"][0].T,
        "turned.bias": blobs["turned"][1],
    }
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name].numpy(), value, strict=True)


def test_the_old_fields_of_a_shape_count_where_both_are_there(tmp_path: Path) -> None:
    """Blob::FromProto of Caffe's blob.cpp asks for them first."""
    net = message({"fc": [np.ones((5, 2), np.float32)]}, legacy=True)
    net.layer[0].blobs[0].shape.dim.extend([10])
    assert find_blobs(save(tmp_path / "both", net))[0][1][0].shape == (1, 1, 5, 2)


def test_statistics_of_no_batch_are_zeros(tmp_path: Path) -> None:
    path, blobs, _ = example(tmp_path)
    blobs["norm"][2][:] = 0
    model = rebuild_caffe(path, weights=save(tmp_path / "zero", message(blobs)))
    assert not model.get_buffer("norm.running_mean").any()
    assert not model.get_buffer("norm.running_var").any()


def test_a_layer_is_filled_by_its_name_and_the_rest_is_told(tmp_path: Path) -> None:
    path, blobs, _ = example(tmp_path)
    conv = blobs.pop("conv.1")
    more = {"loss1/fc": blobs["fc"], **dict(reversed(blobs.items()))}
    weights = save(tmp_path / "more", message(more))
    model = rebuild_caffe(path)
    before = model.get_parameter("conv_1.weight").detach().clone()
    with pytest.raises(DropkitError, match=r"every layer of the net \('conv.1' without\).*partial=True"):
        load_weights(model, weights)
    told = load_weights(model, weights, partial=True)
    assert (told.loaded, told.kept, told.passed_over) == (
        ("norm", "relu", "fc", "turned"),
        ("conv.1",),
        ("loss1/fc",),
    )
    assert torch.equal(model.get_parameter("conv_1.weight"), before)
    np.testing.assert_array_equal(model.get_parameter("fc.weight").detach().numpy(), blobs["fc"][0])
    load_weights(model, save(tmp_path / "conv", message({"conv.1": conv})), partial=True)
    np.testing.assert_array_equal(model.get_parameter("conv_1.bias").detach().numpy(), conv[1])


def nan(blobs: Blobs) -> None:
    blobs["fc"][0][1, 1] = np.nan


def nothing(blobs: Blobs) -> None:
    blobs["norm"][2][:] = 1e-42


def wide(blobs: Blobs) -> None:
    blobs["fc"][0] = blobs["fc"][0].astype(np.float64)
    blobs["fc"][0][1, 1] = -1e39


def turn(blobs: Blobs) -> None:
    blobs["turned"][0] = blobs["turned"][0].T


def reshape(blobs: Blobs) -> None:
    blobs["fc"][0] = blobs["fc"][0].reshape(5, 7, 6, 6).transpose(0, 2, 3, 1)[:, :, :, :6]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (turn, r"layer 'turned' \(InnerProduct\) takes blob 0 of shape \(5, 3\), got \(3, 5\); give the"),
        (reshape, r"layer 'fc' \(InnerProduct\) takes blob 0 of shape \(5, 252\), got \(5, 6, 6, 6\)"),
        (
            lambda blobs: blobs["fc"].pop(),
            r"layer 'fc' \(InnerProduct\) takes 2 blobs, of shape \(5, 252\), ",
        ),
        (lambda blobs: blobs["norm"].pop(), r"layer 'norm' \(BatchNorm\) takes 3 blobs"),
        (nan, r"layer 'fc' \(InnerProduct\) takes finite numbers in blob 0, got nan"),
        (nothing, r"layer 'norm' \(BatchNorm\) takes finite numbers in blob 0, got -?\d"),
        (wide, r"layer 'fc' \(InnerProduct\) takes finite numbers in blob 0, got -1e\+39"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    tmp_path: Path, change: Callable[[Blobs], object], says: str
) -> None:
    path, blobs, _ = example(tmp_path)
    change(blobs)
    weights = save(tmp_path / "wrong", message(blobs, double=change is wide))
    model = rebuild_caffe(path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(DropkitError, match=says):
        load_weights(model, weights)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_too_few_numbers_and_a_layer_twice_are_refused(tmp_path: Path) -> None:
    path, blobs, _ = example(tmp_path)
    short = message(blobs)
    del short.layer[3].blobs[0].data[7:]
    with pytest.raises(DropkitError, match=r"'fc' \(InnerProduct\) takes 1260 numbers in blob 0, got 7"):
        rebuild_caffe(path, weights=save(tmp_path / "short", short))
    twice = message(blobs)
    twice.layer.add().CopyFrom(twice.layer[0])
    with pytest.raises(DropkitError, match=r"holds the weights of layer 'conv.1' once"):
        rebuild_caffe(path, weights=save(tmp_path / "twice", twice))
    doubled = NET + layer("fc", "InnerProduct", "turned", "more", f"{FC} {{ num_output: 5 }}")
    with pytest.raises(DropkitError, match=r"layer 'fc' \(InnerProduct\) has a name of its own"):
        rebuild_caffe(write(tmp_path, doubled), weights=save(tmp_path / "good", message(blobs)))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "with layers"),
        (b"\n\3net", "with layers"),
        (b"\x89HDF\r\n\x1a\n" + bytes(99), "of protobuf, not of HDF5"),
        (bytes(99), "no field begins at byte 0"),
        (b"<html><body>404</body></html>", "without damage"),
        (b"version https://git-lfs.github.com/spec/v1\n", "without damage"),
        (b"PK\3\4" + bytes(99), "without damage"),
        (b"\x80\2}q\0." + bytes(99), "without damage"),
        (b"\xa2\6\x7fabc", "byte 3 begins 127 bytes where 3 are left"),
        (b"\xa2\6\5\x3a\3\x2a\1\0", "half a number"),
        (b"\x80" * 20, "no whole number begins"),
        (b"\xa2\6\0" * (MOST_FIELDS + 1), f"at most {MOST_FIELDS} fields"),
    ],
)
def test_other_files_are_refused_in_words(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(DropkitError, match=says):
        find_blobs(save(tmp_path / "any", data))


def test_a_missing_file_a_folder_and_a_file_too_large_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DropkitError, match="can be read"):
            find_blobs(path)
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGEST_MODEL + 1)
    with pytest.raises(DropkitError, match="at most 2147483647 bytes"):
        find_blobs(tmp_path / "large")


def load_or_refuse(path: Path, net: Path) -> bool:
    try:
        model = rebuild_caffe(net, weights=path)
    except DropkitError:
        return False
    assert all(value.isfinite().all() for value in model.state_dict().values())
    return True


def test_a_file_cut_off_anywhere_is_refused(tmp_path: Path) -> None:
    net, _, weights = example(tmp_path)
    data = weights.read_bytes()
    places = [*range(0, len(data), 61), *range(len(data) - 90, len(data))]
    assert not any(load_or_refuse(save(tmp_path / "cut", data[:end]), net) for end in places)


def as_protobuf_reads(data: bytes) -> list[tuple[str, list[tuple[tuple[int, ...], bytes]]]]:
    net = net_class().FromString(data)
    found = []
    # One order of both kinds is lost to protobuf, but a file has one kind.
    for each in [*net.layers, *net.layer]:
        title, blobs = each.name, list(each.blobs)
        if "layer" in each.DESCRIPTOR.fields_by_name and each.HasField("layer"):
            title, blobs = each.layer.name or title, [*blobs, *each.layer.blobs]
        # What is not UTF-8 is given as it is.
        title = title.decode("utf-8", "replace") if isinstance(title, bytes) else title
        found.append((title, [_plain(blob) for blob in blobs]))
    return found


def _plain(blob: Any) -> tuple[tuple[int, ...], bytes]:
    numbers = np.array(blob.double_data, "f8") if blob.double_data else np.array(blob.data, "f4")
    sizes = ("num", "channels", "height", "width")
    if any(blob.HasField(each) for each in sizes):
        return tuple(getattr(blob, each) for each in sizes), numbers.tobytes()
    return tuple(blob.shape.dim) if blob.HasField("shape") else (len(numbers),), numbers.tobytes()


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["layer", "layers", "first"]),
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(max_size=3)), max_size=3),
)
def test_a_damaged_file_is_loaded_or_refused_and_read_as_protobuf_reads_it(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    legacy: bool,
    damage: list[tuple[float, int, bytes]],
) -> None:
    folder = tmp_path_factory.getbasetemp()
    small = {"fc": [np.ones((2, 4), np.float32), np.ones(2, np.float32)]}
    net = write(folder, layer("fc", "InnerProduct", "data", rest=f"{FC} {{ num_output: 2 }}"), (1, 4))
    data = message(small, form, legacy=legacy).SerializeToString()
    for share, gone, new in damage:
        place = int(share * len(data))
        data = data[:place] + new + data[place + gone :]
    path = save(folder / "damaged.caffemodel", data)
    load_or_refuse(path, net)
    try:
        theirs, ours = as_protobuf_reads(data), find_blobs(path)
    except (DecodeError, DropkitError):
        return
    found = [(name, [(blob.shape, blob.read().tobytes()) for blob in blobs]) for name, blobs in ours]
    assert sorted(found) == sorted(theirs)


def test_numbers_may_come_in_pieces(tmp_path: Path) -> None:
    """As protobuf allows any writer: each number a field of its own, or in runs."""
    numbers = np.arange(4, dtype="<f4")
    inner = b"".join(b"\x2d" + each.tobytes() for each in numbers[:2]) + b"\x2a\x08" + numbers[2:].tobytes()
    inner += b"\x3a\x02\x08\x04"
    body = b"\x0a\x01f\x3a" + bytes([len(inner)]) + inner
    ((name, (blob,)),) = find_blobs(save(tmp_path / "pieces", b"\xa2\x06" + bytes([len(body)]) + body))
    assert (name, blob.shape, blob.read().tolist()) == ("f", (4,), [0, 1, 2, 3])


BOUND = """
from dropkit.core.check import DropkitError
from dropkit.migrate import load_weights, rebuild_caffe
small, large, weights, bombs = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
rebuild_caffe(small)
before = peak()
for bomb in bombs:
    try:
        rebuild_caffe(small, weights=bomb)
    except DropkitError:
        pass
print(peak() - before)
model = rebuild_caffe(large)
before = peak()
load_weights(model, weights)
print(peak() - before)
"""


def test_memory_stays_below_the_bound_that_is_stated(tmp_path: Path) -> None:
    bombs = {
        "layers": b"\xa2\6\0" * (MOST_FIELDS - 1),
        "blobs": field(100, b"\x3a\0" * (MOST_FIELDS - 2)),
        "dims": field(100, field(7, field(7, field(1, bytes(60_000_000))))),
    }
    large = tmp_path / "large.prototxt"
    large.write_text(
        'input: "x" input_shape { dim: 1 dim: 4096 }'
        + layer("a", "InnerProduct", "x", rest=f"{FC} {{ num_output: 4096 }}")
        + layer("b", "InnerProduct", "a", rest=f"{FC} {{ num_output: 4096 }}")
    )
    files = [save(tmp_path / name, data) for name, data in bombs.items()]
    weights = save(tmp_path / "weights", inner_product(b"a", 4096, 4096) + inner_product(b"b", 4096, 4096))
    small = write(tmp_path, layer("a", "ReLU", "data"))
    refused, loaded = printed(BOUND, small, large, weights, *files)
    assert refused < 64 * 2**20
    # One blob of 4096 x 4096 numbers, which shows that the measurement sees it.
    assert 2**26 < loaded < 2**26 + 64 * 2**20


def field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def inner_product(name: bytes, outputs: int, inputs: int) -> bytes:
    shapes = [(outputs, inputs), (outputs,)]
    blobs = [
        field(7, field(7, field(1, b"".join(map(_varint, shape)))) + field(5, bytes(4 * math.prod(shape))))
        for shape in shapes
    ]
    return field(100, field(1, name) + b"".join(blobs))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
