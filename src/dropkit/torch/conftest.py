"""What the tests of attention share."""

from collections.abc import Iterator

import pytest

from dropkit.torch import native

SETS = ["twin", *native.attention_sets()]


@pytest.fixture(params=SETS)
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every instruction set that this machine has, and the plain twin."""
    if request.param == "twin":
        monkeypatch.setattr(native, "AVAILABLE", False)
        yield "twin"
        return
    native.use_attention(request.param)
    yield request.param
    native.use_attention(native.attention_sets()[0])
