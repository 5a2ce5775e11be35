"""The page on the way over says what the table of conventions says, and its code runs."""

import doctest
import inspect
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from tools import migrate_page

import dropkit
from dropkit import migrate

TEXT = migrate_page.PAGE.read_text(encoding="utf-8")
COLUMN = re.compile(r"<td>\n\n```python\n(.*?)```\n\n</td>", re.DOTALL)
COLUMNS = COLUMN.findall(TEXT)
TORCH, KERAS = COLUMNS[::2], COLUMNS[1::2]


def test_tables_and_output_are_those_of_today() -> None:
    again = migrate_page.page(TEXT)
    assert again == TEXT, "write it again: python -m tools.migrate_page"
    for name in migrate.CONVENTIONS:
        assert again.count(f"| [{name}](") == again.count(f"| {name} |") == 1


def test_a_table_that_drifted_would_be_seen() -> None:
    for old, new in [
        ("`keep_prob` **kept**", "`keep_prob` dropped"),
        ("drop7  drops 0.5", "drop7  drops 0.7"),
    ]:
        assert migrate_page.page(TEXT.replace(old, new)) == TEXT != TEXT.replace(old, new)


def test_our_own_rows_are_those_of_the_signatures() -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    ours: list[tuple[Any, str]] = [(dropkit.drop, "rate"), (dropkit.torch.Dropout, "p")]
    for call, argument in ours:
        parameters = inspect.signature(call).parameters
        default = parameters[argument].default
        shown = "none" if default is inspect.Parameter.empty else default
        name = "torch.Dropout" if argument == "p" else "drop"
        assert f"| `dropkit.{name}` | `{argument}` dropped | {shown} | training; " in TEXT
        assert parameters["scale"].default == "train"


def test_every_function_and_example_of_the_article_is_there() -> None:
    functions = [name for name in migrate.__all__ if name.endswith(("_from", "_scale", "_caffe"))]
    assert len(functions) == 7
    for name in functions:
        assert f"`{name}`" in TEXT or f"migrate.{name}(" in TEXT
    for section in ("5.1.1", "5.1.2", "5.1.3", "5.2.1", "5.2.2", "5.2.3"):
        assert re.search(rf"^\*\*.*\*\* \(.*{re.escape(section)}\b", TEXT, re.MULTILINE), section
    assert len(TORCH) == len(KERAS) == TEXT.count("<th>PyTorch</th><th>Keras</th>")


def test_every_block_is_run_by_one_of_these_tests() -> None:
    kinds = [kind for kind in re.findall(r"^ *```(\w+)$", TEXT, re.MULTILINE) if kind != "pycon"]
    shown = len(COLUMNS) + len(migrate_page.files(TEXT)) + TEXT.count("```console\n$ dropkit ")
    assert len(kinds) == shown
    assert set(kinds) == {"python", "text", "console"}


def test_every_line_of_python_on_the_page_runs_as_it_says() -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testfile(str(migrate_page.PAGE), module_relative=False, optionflags=flags)
    assert tried == TEXT.count(">>> ") > 20
    assert failed == 0


def test_the_code_for_pytorch_runs() -> None:
    pytest.importorskip("torch", reason="PyTorch is an optional package")
    names: dict[str, Any] = {"__name__": "page"}
    for code in TORCH:
        exec(code, names)
    assert names["net"].dropout.p == 0.2


def test_the_code_for_keras_runs() -> None:
    code = "\n".join([*KERAS, "print(type(net.dropout).__module__)"])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("dropkit.keras")
