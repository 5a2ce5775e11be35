"""The pages of Keras say what happens, on the backend of this process."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_the_page_says_what_happens() -> None:
    page = ROOT / "docs" / "keras.md"
    failed, tried = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 15
    assert failed == 0


@pytest.mark.filterwarnings("default")  # as above
@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_the_five_minutes_of_the_readme_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(import keras.*?)```", text, re.DOTALL)
    exec(block, {})
    assert float(capsys.readouterr().out.split()[-1]) > 0
