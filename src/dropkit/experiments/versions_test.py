import subprocess
import sys
from importlib import metadata
from typing import Any

import pytest
import torch

from dropkit.experiments.versions import of_runs, versions

DECIDE = {"dropkit", "python", "numpy", "scipy", "pandas", "scikit-learn", "optuna", "torch"}


def test_all_that_decides_splits_settings_scores_and_p_values_is_named() -> None:
    found = versions()
    assert set(found) == DECIDE
    assert found["torch"] == str(torch.__version__)
    assert set(of_runs(found)) == DECIDE - {"optuna"}


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert versions() == {"python": versions()["python"], "dropkit": "source"}


def test_nothing_is_loaded_for_its_version() -> None:
    code = "from dropkit.experiments.versions import versions; import sys; versions(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert not {"torch", "scipy", "pandas", "sklearn", "optuna"} & set(loaded.split())
