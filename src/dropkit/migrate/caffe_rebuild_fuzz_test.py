"""Random nets of Caffe are rebuilt, or refused in words."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dropkit.core.check import DropkitError
from dropkit.migrate import rebuild_caffe
from dropkit.migrate.caffe_layers import MAKERS

SIZES = st.sampled_from([0, 1, 2, 3, 4, 7])
SIGNED = st.sampled_from([-5, -2, -1, 0, 1, 2, 3, 4])
NUMBERS = st.sampled_from(["0", "-1", "0.5", "2", "nan", "inf", "1e30"])
FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "convolution_param": {
        "num_output": SIZES,
        "kernel_size": SIZES,
        "stride": SIZES,
        "pad": SIZES,
        "group": SIZES,
    },
    "pooling_param": {
        "kernel_size": SIZES,
        "stride": SIZES,
        "pad": SIZES,
        "pool": st.sampled_from(["MAX", "AVE"]),
    },
    "inner_product_param": {"num_output": SIZES, "axis": SIGNED},
    "lrn_param": {"local_size": SIZES, "alpha": NUMBERS, "k": NUMBERS},
    "scale_param": {"axis": SIGNED, "num_axes": SIGNED},
    "bias_param": {"axis": SIGNED, "num_axes": SIGNED},
    "concat_param": {"axis": SIGNED},
    "slice_param": {"axis": SIGNED, "slice_point": SIZES},
    "softmax_param": {"axis": SIGNED},
    "flatten_param": {"axis": SIGNED, "end_axis": SIGNED},
    "reshape_param": {"axis": SIGNED, "num_axes": SIGNED, "shape { dim": SIGNED},
    "power_param": {"power": NUMBERS, "scale": NUMBERS},
    "exp_param": {"base": NUMBERS},
    "log_param": {"base": NUMBERS},
    "dropout_param": {"dropout_ratio": NUMBERS},
    "batch_norm_param": {"eps": NUMBERS, "moving_average_fraction": NUMBERS},
}


@st.composite
def nets(draw: st.DrawFn) -> str:
    dims = draw(st.lists(st.sampled_from([1, 2, 3, 4, 7]), min_size=1, max_size=5))
    text = 'input: "b0" input_shape { ' + " ".join(f"dim: {size}" for size in dims) + " }\n"
    for place in range(1, draw(st.integers(2, 5))):
        type = draw(st.sampled_from([*MAKERS, "Unknown"]))
        bottoms = draw(st.lists(st.integers(0, place - 1), min_size=1, max_size=3))
        text += f'layer {{ name: "l{place}" type: "{type}" top: "b{place}"'
        text += "".join(f' bottom: "b{bottom}"' for bottom in bottoms)
        for param, fields in FIELDS.items():
            if param.replace("_", "").startswith(type.lower()[:3]) or type == "Deconvolution":
                given_ = {name: draw(values) for name, values in fields.items() if draw(st.booleans())}
                inner = " ".join(f"{k}: {v}" + " }" * k.count("{") for k, v in given_.items())
                text += f" {param} {{ {inner} }}"
        text += " }\n"
    return text


@settings(deadline=None, max_examples=200)
@given(nets())
def test_any_net_is_rebuilt_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.prototxt"
    path.write_text(text, encoding="utf-8")
    try:
        model = rebuild_caffe(path)
    except DropkitError:
        return
    if any(None in step.shapes for step in model.steps):
        return
    made = model(*(torch.rand(shape) for shape in model.inputs.values()))
    shapes = {top: shape for step in model.steps for top, shape in zip(step.tops, step.shapes, strict=True)}
    for name, blob in (made if isinstance(made, dict) else {model.outputs[0]: made}).items():
        assert tuple(blob.shape) == shapes[name]
