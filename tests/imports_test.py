"""`import dropkit` needs NumPy alone and loads nothing else; what loads torch loads little more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dropkit

REPORT = """
import json, sys
present = set(sys.modules)
{statement}
known = {{"dropkit", "numpy"}} | sys.stdlib_module_names
loaded = {{name.partition(".")[0] for name in set(sys.modules) - present}}
print(json.dumps(sorted(loaded - known)))
"""


def strangers(statement: str) -> list[str]:
    """Names of the packages beyond NumPy and the standard library that `statement` loads."""
    code = REPORT.format(statement=statement)
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    loaded: list[str] = json.loads(output)
    return loaded


def test_import_loads_numpy_alone() -> None:
    assert strangers("import dropkit") == []


@pytest.mark.parametrize("package", ["jinja2", "pytest"])
def test_the_test_above_can_fail(package: str) -> None:
    assert package in strangers(f"import dropkit, {package}")


def test_import_where_nothing_but_numpy_is_installed(tmp_path: Path) -> None:
    numpy_home = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (numpy_home / name).exists():
            (tmp_path / name).symlink_to(numpy_home / name)
    (tmp_path / "dropkit").symlink_to(Path(dropkit.__file__).parent)
    code = "import dropkit, sys; assert sys.modules['numpy']; import jinja2"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], check=False, capture_output=True, text=True, env=environment
    )
    assert run.stderr.strip().endswith("No module named 'jinja2'"), run.stderr


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("dropkit.torch", {"torch._dynamo"}),  # loading the compiler takes as long as the rest of torch
        ("dropkit.experiments.crew", {"torch._dynamo", "sklearn", "pandas", "matplotlib", "optuna"}),
    ],
)
def test_what_takes_seconds_to_load_is_not_loaded_unasked(module: str, spared: set[str]) -> None:
    code = f"import {module}, sys; print(*{spared!r} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "\n"
