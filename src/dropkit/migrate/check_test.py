import contextlib
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropkit.core.check import DropkitError
from dropkit.migrate.check import LIMIT, Found, check_path, check_source, python_files


def only(text: str) -> Found:
    (found,) = check_source(text)
    return found


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
        "import torch; isinstance(m, torch.nn.Dropout) or isinstance(m, (torch.nn.Dropout, A))",
        "import torch; type(m) in (torch.nn.Dropout, A) or type(m) is torch.nn.Dropout",
        "import torch\ndef f(m: torch.nn.Dropout) -> tuple[torch.nn.Dropout, int]: m: torch.nn.Dropout",
        "import torch\nclass D(torch.nn.Dropout): pass",
        "import torch; D = torch.nn.Dropout",
        "from functools import partial; import torch; partial(torch.nn.ReLU, 0.5)",
        "from torch.nn import functional as F; F.scaled_dot_product_attention(q, k, v)",
        "from torch.nn import functional as F; F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)",
        "from torch.nn import functional as F; attend = [F.scaled_dot_product_attention]",
        "import tensorflow as tf; tf.nn.rnn_cell.DropoutWrapper(cell, 1.0)",
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


def test_a_wrapper_of_cells_tells_each_share_that_it_drops() -> None:
    text = (
        "from tensorflow.contrib import rnn\n"
        "rnn.DropoutWrapper(cell, .9, .8, .7); rnn.DropoutWrapper(cell, state_keep_prob=.5)"
    )
    assert [(f.column, f.argument, f.rate) for f in check_source(text)] == [
        (1, "input_keep_prob", 0.1),
        (1, "output_keep_prob", 0.2),
        (1, "state_keep_prob", 0.3),
        (39, "state_keep_prob", 0.5),
    ]


@pytest.mark.parametrize(
    ("text", "becomes", "rate"),
    [
        ("Block(norm_layer=nn.Dropout)", "dropkit.torch.Dropout", None),
        ("Block(nn.Dropout, 2)", "dropkit.torch.Dropout", None),
        ("[A, nn.Dropout2d]", "dropkit.torch.Dropout2d", None),
        ("KINDS = {'drop': nn.Dropout}", "dropkit.torch.Dropout", None),
        ("self.drop = nn.Dropout", "dropkit.torch.Dropout", None),
        ("class Net:\n    drop = nn.Dropout", "dropkit.torch.Dropout", None),
        ("drop: type = nn.Dropout", "dropkit.torch.Dropout", None),
        ("def f(drop=nn.Dropout): pass", "dropkit.torch.Dropout", None),
        ("def f(*, drop=nn.Dropout): return drop(0.5)", "dropkit.torch.Dropout", None),
        ("def f(): return nn.Dropout", "dropkit.torch.Dropout", None),
        ("f = lambda: nn.Dropout", "dropkit.torch.Dropout", None),
        ("kind = nn.Dropout if p else A", "dropkit.torch.Dropout", None),
        ("kind = kind or nn.Dropout", "dropkit.torch.Dropout", None),
        ("D = nn.Dropout; Block(D)", "dropkit.torch.Dropout", None),
        ("Block(act=F.dropout)", "dropkit.torch.functional.dropout", None),
        ("Block(keras.layers.Dropout)", "dropkit.keras.Dropout", None),
        ("partial(nn.Dropout, 0.2)", "dropkit.torch.Dropout(0.2)", 0.2),
        ("partial(nn.Dropout, p=q)", "dropkit.torch.Dropout(q)", None),
        ("partial(nn.Dropout, inplace=True)", "dropkit.torch.Dropout(rate)", None),
        ("functools.partial(keras.layers.Dropout, 0.2)", "dropkit.keras.Dropout(0.2)", 0.2),
        (
            "partial(F.dropout, p=0.2)",
            "dropkit.torch.functional.dropout(x, 0.2, training=self.training)",
            0.2,
        ),
        ("partial(tf.nn.dropout, rate=0.2)", "dropkit.drop(x, 0.2)", 0.2),
    ],
)
def test_what_is_passed_on_is_found_and_has_to_be_decided(
    text: str, becomes: str, rate: float | None
) -> None:
    found = only(
        "import functools, keras; from functools import partial; import tensorflow as tf\n"
        "from torch import nn; from torch.nn import functional as F\n" + text
    )
    assert (found.line, found.becomes, found.rate) == (3 + text.count("\n"), becomes, rate)
    assert found.doubt.startswith("it is passed on")


def test_a_rate_out_of_range_is_the_first_doubt_of_what_is_passed_on() -> None:
    text = "import torch, functools; functools.partial(torch.nn.Dropout, 2)"
    assert only(text).doubt == "p is out of range"


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
                *["isinstance", "partial", "return", "in"],
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
        check_source(
            "from functools import partial; from torch.nn import *\nimport torch.nn.functional as F\n"
            + " ".join(parts)
        )


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
    assert check_source("a=b;b=a;" * 10_000 + "f(" + "a.c," * 100_000 + ")") == []
