import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.check import DropkitError
from dropkit.migrate import CONVENTIONS
from dropkit.migrate.check import LIMIT, Found, check_path, check_source, python_files

# Source, the convention, and what it becomes.
CALLS = [
    ("import torch.nn as nn; nn.Dropout(0.2)", "torch", "dropkit.torch.Dropout(0.2)"),
    ("from torch import nn; nn.Dropout2d(p=0.2)", "torch", "dropkit.torch.Dropout2d(0.2)"),
    ("import torch; torch.nn.AlphaDropout()", "torch", "dropkit.torch.AlphaDropout(0.5)"),
    ("from torch.nn import Dropout as D; D(p)", "torch", "dropkit.torch.Dropout(p)"),
    ("from torch.nn import *; Dropout(.3)", "torch", "dropkit.torch.Dropout(0.3)"),
    ("from torch.nn.modules.dropout import Dropout; Dropout(.3)", "torch", "dropkit.torch.Dropout(0.3)"),
    (
        "from torch.nn import functional as F; F.dropout(h, 0.2)",
        "torch function",
        "dropkit.torch.functional.dropout(h, 0.2, training=self.training)",
    ),
    (
        "import torch.nn.functional as F; F.dropout2d(h, p=0.2, training=mode)",
        "torch function",
        "dropkit.torch.functional.dropout2d(h, 0.2, training=mode)",
    ),
    (
        "import tensorflow as tf; tf.nn.dropout(x, keep_prob=0.9)",
        "tensorflow 1",
        "dropkit.torch.Dropout(0.1)",
    ),
    ("import tensorflow as tf; tf.nn.dropout(x, rate=0.9)", "tensorflow 2", "dropkit.torch.Dropout(0.9)"),
    (
        "import tensorflow.compat.v1 as tf; tf.nn.dropout(x, 0.9)",
        "tensorflow 1",
        "dropkit.torch.Dropout(0.1)",
    ),
    (
        "import tensorflow as tf; tf.compat.v1.nn.dropout(x, rate=0.9)",
        "tensorflow 2",
        "dropkit.torch.Dropout(0.9)",
    ),
    (
        "import tensorflow as tf; k = tf.placeholder('float'); tf.nn.dropout(x, k)",
        "tensorflow 1",
        "dropkit.torch.Dropout(1 - k)",
    ),
    (
        "import tensorflow as tf; tf.nn.dropout(x, keep_prob=a + b)",
        "tensorflow 1",
        "dropkit.torch.Dropout(1 - (a + b))",
    ),
    (
        "import tensorflow as tf; tf.nn.dropout(x, rate=.5, noise_shape=[n, 1, c])",
        "tensorflow 2",
        'dropkit.torch.Drop(0.5, dropkit.migrate.pattern_from("tensorflow 2", [n, 1, c], x.ndim))',
    ),
    ("import tensorflow as tf; tf.layers.dropout(x)", "tensorflow 1 layers", "dropkit.torch.Dropout(0.5)"),
    (
        "import tensorflow as tf\nslim = tf.contrib.slim\nslim.dropout(x, 0.8)",
        "slim",
        "dropkit.torch.Dropout(0.2)",
    ),
    ("import tf_slim as slim; slim.dropout(x)", "slim", "dropkit.torch.Dropout(0.5)"),
    ("import tflearn; tflearn.dropout(x, 0.8)", "tflearn", "dropkit.torch.Dropout(0.2)"),
    ("from keras.layers import Dropout; Dropout(rate=0.3)", "keras", "dropkit.torch.Dropout(0.3)"),
    ("from tensorflow import keras; keras.layers.Dropout(.3)", "keras", "dropkit.torch.Dropout(0.3)"),
    (
        "from tensorflow.keras import layers as L; L.SpatialDropout2D(.3)",
        "keras",
        "dropkit.torch.SpatialDropout(0.3)",
    ),
    ("from keras.layers.core import Dropout; Dropout(.3)", "keras", "dropkit.torch.Dropout(0.3)"),
    (
        "from tensorflow.python.keras.layers import Dropout; Dropout(.3)",
        "keras",
        "dropkit.torch.Dropout(0.3)",
    ),
    ("import mindspore.nn as nn; nn.Dropout(0.9)", "mindspore keep_prob", "dropkit.torch.Dropout(0.1)"),
    ("from mindspore import nn; nn.Dropout(p=0.9)", "mindspore", "dropkit.torch.Dropout(0.9)"),
    ("import paddle; paddle.nn.Dropout(0.3)", "paddle", "dropkit.torch.Dropout(0.3)"),
    (
        "import paddle.nn.functional as F; F.dropout(x, 0.3, mode='downscale_in_infer')",
        "paddle function",
        'dropkit.torch.Dropout(0.3, scale="eval")',
    ),
    (
        "from paddle import nn; nn.Dropout(0.3, axis=[0, 1])",
        "paddle",
        'dropkit.torch.Drop(0.3, dropkit.migrate.pattern_from("paddle", [0, 1], x.ndim))',
    ),
    (
        "import paddle.fluid as fluid; fluid.layers.dropout(x, dropout_prob=0.3)",
        "paddle 1",
        'dropkit.torch.Dropout(0.3, scale="eval")',
    ),
    (
        "import paddle.fluid as fluid; fluid.dygraph.Dropout(dropout_implementation='upscale_in_train')",
        "paddle 1 layer",
        "dropkit.torch.Dropout(0.5)",
    ),
    (
        "from caffe import layers as L; L.Dropout(n.fc6, dropout_ratio=0.4, in_place=True)",
        "caffe",
        "dropkit.torch.Dropout(0.4)",
    ),
    ("import mxnet as mx; mx.nd.Dropout(x, p=0.3)", "mxnet", "dropkit.torch.Dropout(0.3)"),
    ("from mxnet.gluon import nn; nn.Dropout(0.3)", "gluon", "dropkit.torch.Dropout(0.3)"),
    ("import flax.linen as nn; nn.Dropout(rate=0.3)", "flax", "dropkit.torch.Dropout(0.3)"),
    ("from flax import nnx; nnx.Dropout(0.3, rngs=rngs)", "flax", "dropkit.torch.Dropout(0.3)"),
    ("import haiku as hk; hk.dropout(hk.next_rng_key(), 0.3, x)", "haiku", "dropkit.torch.Dropout(0.3)"),
    ("import equinox as eqx; eqx.nn.Dropout(0.3)", "equinox", "dropkit.torch.Dropout(0.3)"),
    (
        "import lasagne; lasagne.layers.DropoutLayer(net, p=.3, rescale=False)",
        "lasagne",
        'dropkit.torch.Dropout(0.3, scale="none")',
    ),
    ("import chainer.functions as F; F.dropout(x, ratio=0.3)", "chainer", "dropkit.torch.Dropout(0.3)"),
]


def only(text: str) -> Found:
    (found,) = check_source(text)
    return found


@pytest.mark.parametrize(("text", "convention", "becomes"), CALLS, ids=[call[0] for call in CALLS])
def test_a_call_is_found_and_translated(text: str, convention: str, becomes: str) -> None:
    found = only(text)
    assert (found.convention, found.becomes, found.doubt) == (convention, becomes, "")
    assert found.active
    assert found.trap


def test_every_convention_of_python_is_found() -> None:
    assert {call[1] for call in CALLS} == {name for name, known in CONVENTIONS.items() if known.calls}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\ufeff",
        "Dropout(0.5)",
        "import torch.nn as nn",
        "import torch.nn as nn; nn.Linear(1, 2)",
        "from dropkit.torch import Dropout; Dropout(0.5)",
        "from .torch.nn import Dropout; Dropout(0.5)",
        "from .torch.nn import *; Dropout(0.5)",
        "from . import torch; torch.nn.Dropout(0.5)",
        r"s = '\d'; 1 is 1",
        "from torch.nn import Dropout\ndef f(Dropout): return Dropout(0.5)",
        "from torch.nn import Dropout\nf = lambda Dropout: Dropout(0.5)",
        "def f():\n    from torch.nn import Dropout\nDropout(0.5)",
        "import torch\ndef f():\n    def torch(): pass\n    torch.nn.Dropout(0.5)",
        "a = b\nb = a\na.nn.Dropout(0.5)",
        "# import torch; torch.nn.Dropout(0.5)",
        "'import torch; torch.nn.Dropout(0.5)'",
        "import torch; torch.nn.Dropout",
    ],
)
def test_what_is_no_such_call_is_not_found(text: str) -> None:
    assert check_source(text) == []


def test_imports_are_followed_into_functions_classes_and_branches() -> None:
    text = """
try:
    import tensorflow.compat.v1 as tf
except ImportError:
    import tensorflow as tf

class Net:
    def build(self, x):
        from torch.nn import functional as F
        return F.dropout(tf.nn.dropout(x, 0.9), 0.2)

def other(x, F):
    return F.dropout(x, 0.2)
"""
    assert [(f.line, f.column, f.convention, f.rate) for f in check_source(text)] == [
        (10, 16, "torch function", 0.2),
        (10, 26, "tensorflow 1", 0.1),
    ]


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        (
            "import tensorflow as tf; tf.nn.dropout(x, 0.9)",
            "under TensorFlow 1 this is the share that is kept",
        ),
        ("import torch; torch.nn.Dropout(**options)", "p is not written here"),
        ("import torch; torch.nn.Dropout(*options)", "p is not written here"),
        ("import tensorflow as tf; tf.nn.dropout(*a, rate=2)", "rate is out of range"),
        ("import torch; torch.nn.Dropout(1e999)", "p is out of range"),
        ("import torch; torch.nn.Dropout(0x" + "f" * 9999 + ")", "p is out of range"),
        ("import mindspore; mindspore.nn.Dropout(0.0)", "keep_prob is out of range"),
        ("import paddle; paddle.nn.Dropout(0.1, mode=mode)", "where the factor goes depends on mode"),
        ("from caffe import layers as L; L.Dropout(x, dropout_param=d)", "dropout_ratio is not written here"),
    ],
)
def test_what_cannot_be_told_is_a_doubt(text: str, doubt: str) -> None:
    assert only(text).doubt.startswith(doubt)


def test_the_suggestions_run_and_do_what_the_call_said() -> None:
    torch: Any = pytest.importorskip("torch", reason="PyTorch is an optional package")
    import dropkit

    names = {
        "dropkit": dropkit,
        "x": torch.ones(2, 3, 4),
        "h": torch.ones(2, 3, 4, 5),
        "self": torch.nn.ReLU(),
    }
    names |= {"p": 0.5, "k": 0.5, "a": 0.2, "b": 0.2, "mode": True, "n": 2, "c": 4}
    for text, _, becomes in CALLS:
        made = eval(becomes, dict(names))
        rate = only(text).rate
        if isinstance(made, dropkit.torch.Layer) and rate is not None:
            assert made.description.rate == rate


def test_lines_and_columns_count_characters() -> None:
    text = "import torch\r\nx = 1\rs = 'ü\u2028\x0c'; d = (torch.nn.Dropout(0.1), 'ö', torch.nn.Dropout(0.2))"
    assert [(f.line, f.column) for f in check_source(text)] == [(3, 17), (3, 45)]
    line = text.split("\r")[2]
    assert [match.start() + 1 for match in re.finditer("torch.nn", line)] == [17, 45]


def test_long_values_are_shortened() -> None:
    found = only(f"import torch; torch.nn.Dropout({'long_name.' * 9}p)")
    assert (found.written, found.becomes, found.rate) == ("...", "dropkit.torch.Dropout(rate)", None)
    assert only("import torch\ntorch.nn.Dropout(max(a,\nb))").written == "..."


DEEP = 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(:", "source is Python 3, got '<source>:1: "),
        ("print 'a'", "2to3 turns Python 2"),
        ("x = '\0'", "source is Python 3"),
        ("x = '\ud800'", "source is Python 3"),
        ("x = " + "9" * 5000, "source is Python 3"),
        ("(" * DEEP + ")" * DEEP, "too many nested parentheses"),
        ("-" * DEEP + "1", "source is nested as Python allows"),
        ("a" + ".b" * DEEP, "source is nested as Python allows"),
        ("1" + "+1" * DEEP, "source is nested as Python allows"),
        ("f" + "()" * DEEP, "source is nested as Python allows"),
        ("lambda:" * DEEP + "1", "source is nested as Python allows"),
        ("if a:\n b\n" + "elif a:\n b\n" * 50_000, "source is nested as Python allows"),
        ("x" * (LIMIT + 1), "source has at most 1,000,000 bytes"),
    ],
    ids=[
        "no code",
        "Python 2",
        "zero",
        "surrogate",
        "digits",
        "brackets",
        "signs",
        "attributes",
        "sums",
        "calls",
        "lambdas",
        "branches",
        "length",
    ],
)
def test_bad_source_is_refused(text: str, message: str) -> None:
    with pytest.raises(DropkitError) as refused:
        check_source(text)
    assert message in str(refused.value)


@given(
    st.lists(
        st.sampled_from(
            [
                *"()[]{}:;,.=*\n '\"#\\",
                *["import", "from", "as", "def", "class", "lambda", "torch", "nn"],
                "Dropout",
                "F",
                "dropout",
                " ",
                "0.5",
                "if",
                "1e999",
                "\ufeff",
                "\0",
                "ü",
            ]
        )
    )
)
def test_any_text_is_checked_or_refused(parts: list[str]) -> None:
    with contextlib.suppress(DropkitError):
        check_source("from torch.nn import *\nimport torch.nn.functional as F\n" + " ".join(parts))


@given(st.binary(max_size=200))
def test_any_file_is_checked_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.py"
    path.write_bytes(data)
    with contextlib.suppress(DropkitError):
        check_path(path)


def test_files_are_read_in_their_encoding(tmp_path: Path) -> None:
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\nimport torch; s = 'ü'; torch.nn.Dropout(0.1)".encode("latin-1"))
    assert [f.column for f in check_path(path)] == [24]
    path.write_bytes(b"s = '\xfc'")
    with pytest.raises(DropkitError, match="path is text in the encoding that it declares"):
        check_path(path)
    for encoding in (b"martian", b"rot13"):
        path.write_bytes(b"# coding: " + encoding)
        with pytest.raises(DropkitError, match="path is text in the encoding that it declares"):
            check_path(path)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "long.py").write_bytes(b"#" * (LIMIT + 1))
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    for name in ("none.py", "pipe.py", "zero.py", "loop.py"):
        with pytest.raises(DropkitError, match="path is a file"):
            check_path(tmp_path / name)
    with pytest.raises(DropkitError, match="path has at most 1,000,000 bytes"):
        check_path(tmp_path / "long.py")


def test_folders_give_their_python_files_in_order(tmp_path: Path) -> None:
    for name in ("b.py", "a/z.py", "a/y.txt", ".git/c.py", "a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in python_files(tmp_path)] == ["a/z.py", "a.py", "b.py"]
    assert python_files(tmp_path / "gone") == [tmp_path / "gone"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open.py").write_text("")
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    closed, readable = python_files(tmp_path)
    assert (closed, readable) == (tmp_path / "closed", tmp_path / "open.py")
    with pytest.raises(DropkitError, match=r"path is a file, got"):
        check_path(closed)


def test_long_source_is_read_once() -> None:
    # Each of these takes minutes where positions, names or scopes are looked for again at every call.
    line = "from torch.nn import Dropout as D; s='ü';" + "D();" * 30_000
    assert len(check_source(line)) == 30_000
    names = "".join(f"a{i}=a{i + 1}\n" for i in range(5_000)) + "a0.b()\n" * 5_000
    assert check_source(names) == []
    again = "a=b;b=a;" * 10_000 + "a.c();" * 10_000
    assert check_source(again) == []
