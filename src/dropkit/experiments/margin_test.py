from typing import Any

import pytest

from dropkit.core.check import DropkitError
from dropkit.experiments.margin import MARGIN, parse_margin


@pytest.mark.parametrize(
    ("text", "share"), [("0.5%", 0.005), ("2 %", 0.02), ("12.25%", 0.1225), ("off", None), (MARGIN, 0.005)]
)
def test_a_margin_is_a_share(text: str, share: float | None) -> None:
    assert parse_margin(text) == share


@pytest.mark.parametrize(
    "wrong", ["0.5", "0%", "100%", "-1%", "nan%", "1e1%", "", "Off", "٣%", "0.5%%", 0.5, None, "\n0.5%"]
)
def test_anything_else_is_refused_with_the_mend(wrong: Any) -> None:
    with pytest.raises(DropkitError, match=r"margin must be 'off', or a number .*; write e\.g\. 0\.5%"):
        parse_margin(wrong)
