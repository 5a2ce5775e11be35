"""What the layers stand on is checked when they are imported."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import pytest

from dropkit.core.check import DropkitError
from dropkit.keras.supported import check_keras


@pytest.mark.parametrize("version", ["2.15.0", "3.14.9", "3.0.0rc1"])
def test_old_keras_is_refused(version: str) -> None:
    with pytest.raises(DropkitError, match=r"keras is 3\.15 or newer"):
        check_keras(version)


def test_new_keras_is_taken() -> None:
    for version in ("3.15.0", "3.16.0.dev0", "4.0.0"):
        check_keras(version)


def test_a_backend_without_training_is_refused() -> None:
    with pytest.raises(
        DropkitError, match=r"backend is one of \['jax', 'tensorflow', 'torch'\], got 'numpy'"
    ):
        check_keras(backend="numpy")


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="one process suffices")
def test_a_backend_without_training_is_refused_at_the_import() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import dropkit.keras"],
        env=os.environ | {"KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "backend is one of ['jax', 'tensorflow', 'torch'], got 'numpy'; set the environment" in done.stderr
