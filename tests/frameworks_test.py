"""The tests of TensorFlow, JAX and Keras, each framework and each backend in a process of its own.

Here they would share threads, signal handlers and one choice of Keras's backend. By hand, e.g.:

    DROPKIT_FRAMEWORK=keras-jax pytest src/dropkit/keras
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import FRAMEWORKS, VARIABLE, files_of

ROOT = Path(__file__).parents[1]


def run(framework: str, *arguments: str, coverage: bool = False) -> "subprocess.CompletedProcess[str]":
    extra = ["--cov", "--cov-report="] if coverage else []
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *extra]
    environment = os.environ | {VARIABLE: framework, "COVERAGE_FILE": f".coverage.{framework}"}
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS"):
        environment.pop(name, None)
    return subprocess.run(
        [*command, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_passes_its_tests(framework: str, request: pytest.FixtureRequest) -> None:
    # Lines are counted and examples run on one backend: two more would take minutes and say little more.
    first = framework not in ("keras-jax", "keras-tensorflow")
    coverage = first and request.config.pluginmanager.hasplugin("_cov")
    files = [file for file in files_of(framework) if first or file.endswith("_test.py")]
    done = run(framework, *files, coverage=coverage)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_a_failure_over_there_is_a_failure_here(tmp_path: Path) -> None:
    test = tmp_path / "broken_test.py"
    test.write_text("import tensorflow\n\ndef test_it() -> None:\n    assert not tensorflow.__version__\n")
    done = run("tensorflow", str(test))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
