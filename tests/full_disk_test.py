"""Where a disk fills at any write, a store is as before the change or as after it, and says what is kept."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What full_disk.py says of every change at every write."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("a disk is made to look full by a library compiled and preloaded on Linux")
    library = tmp_path_factory.mktemp("full_disk") / "full_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "full_disk.c"], check=True)
    call = [sys.executable, str(HERE / "full_disk.py")]
    done = subprocess.run(
        call, env=os.environ | {"LD_PRELOAD": str(library)}, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_every_change_is_whole_or_not_at_all(found: dict[str, list[dict[str, Any]]]) -> None:
    broken = {
        name: [at for at, each in enumerate(tries) if not each["whole"]] for name, tries in found.items()
    }
    assert not any(broken.values()), broken
    # Fewer writes than these would mean that the disk was not full where it was told to be.
    assert min(len(found[name]) for name in found) > 5
    assert sum(len(tries) for tries in found.values()) > 150


def test_the_error_says_what_is_kept_and_what_to_do(found: dict[str, list[dict[str, Any]]]) -> None:
    errors = [each["error"] for name, tries in found.items() for each in tries if each["error"]]
    assert len(errors) > 60
    for error in errors:
        assert error.startswith("out can no longer be written (")
        assert error.endswith("make room and repeat the command: it goes on from there")
    made = [each["error"] for each in found["make, refused"]]
    assert all("runs.sqlite keeps 2 finished runs" in error for error in {*errors} - {*made})
