import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dropkit.cli.app import app

OLD = "import tensorflow as tf\ny = tf.nn.dropout(x, keep_prob=0.9)\n"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["migrate", *arguments])


def test_a_call_is_told_with_what_it_becomes(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(OLD)
    done = run("check", str(tmp_path / "old.py"))
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/old.py:2:5  tensorflow.nn.dropout  keep_prob=0.9",
        "  becomes  dropkit.drop(x, 0.1)",
        "  draws    at every call",
        "  mind     the same call means the opposite in TensorFlow 2: there the second argument is dropped",
    ]


def test_a_class_that_is_passed_on_is_told_with_what_to_decide(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\nBlock(norm_layer=nn.Dropout)\n")
    done = run("check", str(tmp_path / "net.py"))
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/net.py:2:18  torch.nn.Dropout  p not written",
        "  becomes  dropkit.torch.Dropout",
        "  draws    in training mode, which is the default",
        "  mind     model.train() must not be left on: nothing else turns it off",
        "  decide   it is passed on, and called elsewhere: look there for its arguments",
    ]


def test_nothing_found_is_exit_code_0(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")
    done = run("check", str(tmp_path))
    assert (done.exit_code, done.stdout) == (0, "No dropout of another framework found.\n")


def test_what_is_refused_does_not_keep_the_rest_from_being_checked(tmp_path: Path) -> None:
    for name, text in [("a.py", OLD), ("b.py", "print 'old'"), ("c.py", OLD), ("d.py", "\0")]:
        (tmp_path / name).write_text(text)
    done = run("check", str(tmp_path), str(tmp_path / "a.py"), str(tmp_path / "none.py"))
    assert done.exit_code == 2
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line[0] != " "] == [
        f"{tmp_path}/a.py",
        f"{tmp_path}/c.py",
    ]
    assert [line[:7] for line in done.stderr.splitlines()] == ["error: "] * 3
    told = run("check", str(tmp_path), "--json")
    data = json.loads(told.stdout)
    assert told.exit_code == 2
    assert [found["rate"] for found in data["found"]] == [0.1, 0.1]
    assert [Path(each["path"]).name for each in data["refused"]] == ["b.py", "d.py"]


def test_json_carries_all_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("from paddle import nn\nnn.Dropout(p, mode='downscale_in_infer')")
    done = run("check", str(tmp_path), "--json")
    (found,) = json.loads(done.stdout)["found"]
    assert done.exit_code == 1
    assert (found["line"], found["column"], found["written"], found["rate"]) == (2, 1, "p", None)
    assert found["becomes"] == 'dropkit.torch.Dropout(p, scale="eval")'
    assert "fold_scale" in found["trap"]


def test_a_pipe_gets_no_colours_and_no_framework_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(OLD)
    code = (
        "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr));"
        "from dropkit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "migrate", "check", str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    assert (done.returncode, done.stderr) == (1, "False\n")
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("arguments", [("check", "--help"), ("check",), ()])
def test_help_and_usage(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.exit_code == (0 if "--help" in arguments else 2)
    assert "check" in done.output
    if "--help" in arguments:
        assert "Examples:" in done.stdout
        assert "Exit codes:" in done.stdout


NET = """name: "Small"  input: "data"
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.7 } }
layer { name: "old" type: "Dropout" bottom: "fc" top: "end" dropout_param { scale_train: false } }
"""


def test_a_caffe_nets_dropout_is_listed_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "none.prototxt").write_text("layer { name: 'x' type: 'ReLU' bottom: 'a' top: 'b' }")
    done = run("caffe", str(tmp_path / "net.prototxt"), str(tmp_path / "none.prototxt"))
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{tmp_path}/net.prototxt  Small, layers: 3",
        "  drop  drops 0.7, between fc and old",
        "    becomes  dropkit.torch.Dropout(0.7)",
        "  old  drops 0.5, between drop and the output",
        '    becomes  dropkit.torch.Dropout(0.5, scale="eval")',
        f"{tmp_path}/none.prototxt  a net without a name, layers: 1",
        "  no dropout",
    ]


def test_a_caffe_file_that_is_refused_does_not_keep_the_rest_from_being_read(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "bad.prototxt").write_text("layer {")
    (tmp_path / "rate.prototxt").write_text(NET.replace("0.7", "1.7"))
    files = [str(tmp_path / f"{name}.prototxt") for name in ("bad", "missing", "rate", "net")]
    done = run("caffe", *files, "--json")
    data = json.loads(done.stdout)
    assert done.exit_code == 2
    assert [each["path"] for each in data["refused"]] == files[:3]
    assert [line[:7] for line in done.stderr.splitlines() if line.startswith("error")] == ["error: "] * 3
    (net,) = data["nets"]
    assert [each["becomes"] for each in net["dropouts"]] == [
        "dropkit.torch.Dropout(0.7)",
        'dropkit.torch.Dropout(0.5, scale="eval")',
    ]


def test_a_caffe_net_is_rebuilt_and_an_unknown_type_is_exit_code_1(tmp_path: Path) -> None:
    known = 'input: "x" input_shape { dim: 1 dim: 3 } layer { name: "fc" type: "InnerProduct" bottom: "x" '
    known += 'top: "y" inner_product_param { num_output: 4 } } '
    plain, odd = tmp_path / "plain.prototxt", tmp_path / "odd.prototxt"
    plain.write_text(known)
    odd.write_text(known + 'layer { name: "roi" type: "ROIPooling" bottom: "y" top: "z" }')
    done = run("caffe", str(plain), "--rebuild")
    assert done.exit_code == 0, done.output
    assert "fc  InnerProduct  (1, 4)  16 parameters" in done.output
    done = run("caffe", str(odd), "--rebuild")
    assert done.exit_code == 1
    assert "not rebuilt: roi, of the unknown type ROIPooling" in done.output
    done = run("caffe", str(odd), "--rebuild", "--json")
    assert json.loads(done.output)["nets"][0]["unknown"] == [{"name": "roi", "type": "ROIPooling"}]
