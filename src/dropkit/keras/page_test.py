"""The page of Keras says what happens, on the backend of this process."""

import doctest
from pathlib import Path

import pytest


@pytest.mark.filterwarnings("default")  # Keras warns on torch
def test_the_page_says_what_happens() -> None:
    page = Path(__file__).parents[3] / "docs" / "keras.md"
    failed, tried = doctest.testfile(
        str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert tried > 15
    assert failed == 0
