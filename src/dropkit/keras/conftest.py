"""What the tests of the layers share."""

import os
from typing import Any

import pytest


@pytest.fixture(params=["auto", False] if os.environ.get("KERAS_BACKEND") == "tensorflow" else ["auto"])
def jit(request: pytest.FixtureRequest) -> Any:
    """What `compile` takes: with XLA and without where Keras chooses XLA by itself."""
    return request.param
