import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.measured import printed

from dropkit.core.check import DropkitError
from dropkit.migrate import caffe_text
from dropkit.migrate.caffe import CaffeDropout, CaffeNet, Phase, read_caffe

BOTH: tuple[Phase, ...] = ("train", "test")
# The same net in the three forms of Caffe's history.
TODAY = """
name: "three"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 pad: 1 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.7 } }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SECOND = """
name: "three"
input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv" type: CONVOLUTION bottom: "data" top: "conv" blobs_lr: 1 blobs_lr: 2 weight_decay: 0
  convolution_param { num_output: 4 pad: 1 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layers { name: "relu" type: RELU bottom: "conv" top: "conv" }
layers { name: "drop" type: DROPOUT bottom: "conv" top: "conv" dropout_param { dropout_ratio: 0.7 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv" top: "fc" inner_product_param { num_output: 5 } }
layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc" bottom: "label" top: "loss" }
"""
FIRST = """
name: "three"
input: "data" input_dim: 2 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 1 } bottom: "data" top: "pad" }
layers { layer { name: "conv" type: "conv" num_output: 4 kernelsize: 3 stride: 2
  weight_filler { type: "xavier" } blobs_lr: 1. } bottom: "pad" top: "conv" }
layers { layer { name: "relu" type: "relu" } bottom: "conv" top: "conv" }
layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.7 } bottom: "conv" top: "conv" }
layers { layer { name: "fc" type: "innerproduct" num_output: 5 } bottom: "conv" top: "fc" }
layers { layer { name: "loss" type: "softmax_loss" } bottom: "fc" bottom: "label" top: "loss" }
"""


def net(tmp_path: Path, text: str) -> CaffeNet:
    (tmp_path / "net.prototxt").write_text(text, encoding="utf-8")
    return read_caffe(tmp_path / "net.prototxt")


@pytest.mark.parametrize("text", [TODAY, SECOND, FIRST])
def test_the_three_forms_are_one_net(tmp_path: Path, text: str) -> None:
    found = net(tmp_path, text)
    assert (found.name, found.inputs) == ("three", (("data", (2, 3, 8, 8)),))
    layers = [layer for layer in found.layers if layer.type != "Input"]
    assert [(layer.name, layer.type, layer.bottoms, layer.tops) for layer in layers] == [
        ("conv", "Convolution", ("data",), ("conv",)),
        ("relu", "ReLU", ("conv",), ("conv",)),
        ("drop", "Dropout", ("conv",), ("conv",)),
        ("fc", "InnerProduct", ("conv",), ("fc",)),
        ("loss", "SoftmaxWithLoss", ("fc", "label"), ("loss",)),
    ]
    conv, full = layers[0].message.convolution_param, layers[3].message.inner_product_param
    assert (conv.num_output, *conv.pad, *conv.kernel_size, *conv.stride) == (4, 1, 3, 2)
    assert (conv.group, conv.bias_term, full.num_output, full.axis) == (1, True, 5, 1)
    assert found.dropouts() == (CaffeDropout("drop", 0.7, True, "relu", ("fc",), BOTH),)


def test_every_layer_of_the_second_form_has_its_name_of_today(tmp_path: Path) -> None:
    found = net(
        tmp_path, "layers { type: HDF5_DATA } layers { type: LRN } layers { type: ROI_POOLING2 } layers {}"
    )
    assert [layer.type for layer in found.layers] == ["HDF5Data", "LRN", "RoiPooling2", ""]


def test_the_ratio_where_none_is_written_and_the_scaling_of_forks(tmp_path: Path) -> None:
    first, second = net(
        tmp_path,
        """layer { name: "a" type: "Dropout" bottom: "x" top: "y" }
        layer { name: "b" type: "Dropout" bottom: "y" top: "z" dropout_param { scale_train: false } }""",
    ).dropouts()
    assert first == CaffeDropout("a", 0.5, True, None, ("b",), BOTH)
    assert second == CaffeDropout("b", 0.5, False, "a", (), BOTH)


def test_what_takes_a_blob_that_was_filled_anew_does_not_take_the_dropout(tmp_path: Path) -> None:
    (drop,) = net(
        tmp_path,
        """layer { name: "drop" type: "Dropout" bottom: "x" top: "x" }
        layer { name: "one" type: "ReLU" bottom: "x" top: "y" }
        layer { name: "two" type: "ReLU" bottom: "x" top: "x" }
        layer { name: "three" type: "ReLU" bottom: "x" top: "z" }""",
    ).dropouts()
    assert drop.before == ("one", "two")


@pytest.mark.parametrize(
    ("rules", "phases"),
    [
        ("", BOTH),
        ("include { phase: TRAIN }", ("train",)),
        ("exclude { phase: TRAIN }", ("test",)),
        ("include { phase: TRAIN } include { phase: TEST }", BOTH),
        ("include { min_level: 1 }", ()),
        ("include { max_level: -1 }", ()),
        ("include { min_level: -1 max_level: 1 phase: TEST }", ("test",)),
        ("include { stage: 'deploy' }", ()),
        ("exclude { stage: 'deploy' }", BOTH),
        ("include { not_stage: 'deploy' }", BOTH),
    ],
)
def test_rules_say_in_which_phase_a_layer_is_there(
    tmp_path: Path, rules: str, phases: tuple[str, ...]
) -> None:
    found = net(tmp_path, f"layer {{ name: 'drop' type: 'Dropout' {rules} }}")
    assert found.dropouts()[0].phases == phases
    assert [phase for phase in BOTH if found.of(phase)] == list(phases)


def test_shapes_of_inputs_in_their_four_ways(tmp_path: Path) -> None:
    rest = "layer { type: 'Dropout' }"
    assert net(tmp_path, f"input: 'x' {rest}").inputs == (("x", None),)
    assert net(tmp_path, f"input: 'x' input_shape {{ dim: [2, 3] }} {rest}").inputs == (("x", (2, 3)),)
    assert net(tmp_path, f"input: 'x' input_dim: [1, 2, 3, 4] {rest}").inputs == (("x", (1, 2, 3, 4)),)
    both = "layer { type: 'Input' top: 'x' top: 'y' input_param { shape { dim: 2 dim: 3 } } }"
    assert net(tmp_path, both).inputs == (("x", (2, 3)), ("y", (2, 3)))


def test_the_whole_net_may_stand_on_one_line_and_its_strings_stay(tmp_path: Path) -> None:
    text = "".join(f"layer {{ name: \"a  'b\" type: 'Dropout' top: 'x  \\'{i}' }} " for i in range(1000))
    assert len(text) > caffe_text.LONGEST_LINE
    found = net(tmp_path, text + "# the  end")
    assert len(found.layers) == 1000
    assert (found.layers[7].name, found.layers[7].tops) == ("a  'b", ("x  '7",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "with layers"),
        ("net: 'train.prototxt' base_lr: 0.01", "with layers"),
        ("layer { name: 'a'", 'Expected "}"'),
        ("layer { name: 'a", "1:15"),
        ("layer { name: 7 }", "Expected string"),
        ("layer { name: 'a' name: 'b' }", "should not have multiple"),
        ("layer { convolution_param { num_output: -1 } }", "out of range"),
        ("layer { convolution_param { num_output: 99999999999 } }", "out of range"),
        ("layer { dropout_param { dropout_ratio: half } }", "half"),
        ("layer { name: '\\377' }", "describes a Caffe net"),
        ("layer { name: '\\777' }", "invalid octal escape"),
        ("layer { name: '\\q' }", "invalid escape"),
        ("layer {} layers {}", "in one form"),
        ("a {" * 5000, "nested"),
        ("a" * 20_000, "gap within"),
        ("layer{}" * 20_001, "gap within"),
        ("layer{}\n" * 20_001, "at most 20000 layers"),
        ("a: " + "9" * 10_000, "with layers"),
        ("\0", "Expected identifier"),
        ("<html><body>404</body></html>", "Expected identifier"),
    ],
)
def test_what_is_no_net_is_refused_in_a_few_words(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(DropkitError, match=r"^path ") as refused:
        net(tmp_path, text)
    assert says in str(refused.value)
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("ratio", ["1.5", "-0.1", "nan", "inf"])
def test_a_ratio_that_is_no_probability_is_refused_with_its_layer(tmp_path: Path, ratio: str) -> None:
    text = f"layer {{ name: 'drop6' type: 'Dropout' dropout_param {{ dropout_ratio: {ratio} }} }}"
    with pytest.raises(DropkitError, match="dropout_ratio of layer 'drop6' must be a number in"):
        net(tmp_path, text).dropouts()


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\xff\xfe\x00", "UTF-8"), (b" " * (caffe_text.LONGEST_TEXT + 1), "at most 2097152 bytes")],
)
def test_a_file_that_is_no_text_or_too_long_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DropkitError, match=says):
        read_caffe(tmp_path / "x")


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DropkitError, match="can be read"):
            read_caffe(path)


@pytest.mark.parametrize("words", ["layer{blobs{}}\\n", "layer{}\\n", "a:'' ", "\\\\377", "input:'x' "])
def test_memory_stays_below_the_bound_that_is_stated(words: str) -> None:
    code = f"""
from dropkit.core.check import DropkitError
from dropkit.migrate import caffe_text
caffe_text.parse("name: 'warm'", "-")
before = peak()
word = "{words}"
text = word * (caffe_text.LONGEST_TEXT // 4 // len(word))
try:
    caffe_text.parse(text if word != "\\\\377" else f"name: '{{text}}'", "-")
except DropkitError:
    pass
print(peak() - before)
"""
    (grown,) = printed(code)
    # A quarter of the longest text, for speed: a quarter of the bound.
    assert grown < 64 * 2**20


WORDS = st.sampled_from(
    re.findall(
        r"\S+",
        """{ } < > [ ] : , ; # ' " \\ 0 1 é \0 -1 1e9 nan 0.5 0x 'x' '\\ layer layers name type bottom top
        input input_dim dim input_shape dropout_param dropout_ratio pad scale_train include phase TRAIN TEST
        DROPOUT ROI blobs data shape true false convolution_param kernel_size""",
    )
)


@settings(deadline=None, max_examples=300)
@given(st.lists(WORDS | st.text(max_size=3), max_size=60).map(" ".join))
@example("layer { type: 'Dropout' dropout_param { dropout_ratio: 1e400 } }")
@example("name: '\\777' layer {}")
def test_any_words_are_a_net_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    read_or_refuse(tmp_path_factory.getbasetemp() / "any.prototxt", text.encode("utf-8", "surrogatepass"))


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([TODAY, SECOND, FIRST]).map(str.encode),
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 40), st.binary(max_size=4)), max_size=4),
)
def test_a_damaged_net_is_a_net_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, damage: list[tuple[int, int, bytes]]
) -> None:
    for place, gone, new in damage:
        text = text[:place] + new + text[place + gone :]
    read_or_refuse(tmp_path_factory.getbasetemp() / "damaged.prototxt", text)


@pytest.mark.parametrize("text", [TODAY, SECOND, FIRST])
def test_a_truncated_net_is_a_smaller_net_or_refused(tmp_path: Path, text: str) -> None:
    most = len(net(tmp_path, text).layers)
    for end in range(0, len(text), 7):
        found = read_or_refuse(tmp_path / "net.prototxt", text[:end].encode())
        assert found is None or len(found.layers) <= most


def read_or_refuse(path: Path, data: bytes) -> CaffeNet | None:
    path.write_bytes(data)
    try:
        found = read_caffe(path)
        found.dropouts()
    except DropkitError:
        return None
    return found
