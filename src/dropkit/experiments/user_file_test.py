import sys
from pathlib import Path

import pytest

from dropkit.experiments.models import ModelSource
from dropkit.experiments.user_file import load_function


def test_a_file_imports_what_lies_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "layers_beside.py").write_text("WIDTH = 7")
    (tmp_path / "net.py").write_text(
        "import layers_beside\ndef make_model():\n    import layers_beside\n    return layers_beside.WIDTH"
    )
    assert load_function("model", f"{tmp_path}/net.py:make_model", "")() == 7


def test_a_function_inside_another_is_called_by_its_own_name() -> None:
    def make_model() -> None: ...

    assert ModelSource(make_model).name == "make_model"
