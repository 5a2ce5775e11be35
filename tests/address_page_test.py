"""The page that fixes the address says what the code does."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "address.md"


def test_every_line_of_python_on_the_page_runs_as_it_says() -> None:
    result = doctest.testfile(str(PAGE), module_relative=False)
    assert result.attempted > 20
    assert result.failed == 0
