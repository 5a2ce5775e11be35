"""An extension that cannot be used: the twin decides alike and says once how to get the fast one."""

import importlib.machinery
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import dropkit
from dropkit.torch import functional

SUFFIX = importlib.machinery.EXTENSION_SUFFIXES[0]
ENTRIES = 1 << 16
CALLS = f"""
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import torch
    from dropkit.torch import Dropout, functional, native
    x = torch.ones({ENTRIES})
    slow = lambda: [each for each in caught if each.category is native.SlowWarning]
    functional.dropout(torch.ones(8), key=1)
    before = len(slow())
    torch.compile(Dropout(), fullgraph=True, backend="eager")(x)
    compiled = len(slow())
    y = functional.dropout(x, key=1)
    Dropout()(x)
    again = len(slow())
    native._warn_once.cache_clear()
    functional.dropout(x, key=1)
said = [[str(each.message), each.filename] for each in slow()]
print(json.dumps([[before, compiled, again], said, y.nonzero().flatten().tolist()]))
"""


def absent(package: Path) -> None:
    """Nothing lies there, as where no compiler was found."""


def of_another_python(package: Path) -> None:
    (package / "_native.cpython-30-x86_64-linux-gnu.so").write_bytes(b"")


def cut_off(package: Path) -> None:
    (package / f"_native{SUFFIX}").write_bytes(Path(torch._C.__file__).read_bytes()[:40])


def without_its_symbol(package: Path) -> None:
    shutil.copy(torch._C.__file__, package / f"_native{SUFFIX}")


def older(package: Path) -> None:
    (package / "_native.py").write_text("def draw(): ...\n")


def python(place: Path, code: str) -> str:
    # -S keeps an editable installation out, which would win over the copy.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(place), *filter(None, sys.path)])}
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("fault", [absent, of_another_python, cut_off, without_its_symbol, older])
def test_the_twin_decides_alike_and_says_so_once(fault: Callable[[Path], None], tmp_path: Path) -> None:
    package = tmp_path / "dropkit"
    shutil.copytree(
        Path(dropkit.__file__).parent, package, ignore=shutil.ignore_patterns("_native.*", "__pycache__")
    )
    fault(package)
    found = python(tmp_path, "import dropkit; print(dropkit.__file__)")
    assert Path(found.strip()).parent == package
    assert python(tmp_path, "import sys, dropkit; assert 'torch' not in sys.modules") == ""
    counts, said, kept = json.loads(python(tmp_path, CALLS))
    assert counts == [0, 1, 1]
    assert all("pip install --force-reinstall" in message for message, _ in said)
    assert [place for _, place in said] == ["<string>"] * 2  # the caller's line, compiled and eager
    assert kept == functional.dropout(torch.ones(ENTRIES), key=1).nonzero().flatten().tolist()
