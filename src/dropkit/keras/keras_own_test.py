"""Keras's own tests for its dropout layers, which come in its wheel, with our layers under Keras's names."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from keras.src import layers

import dropkit.keras as ours

pytestmark = pytest.mark.filterwarnings("default")  # its tests set off warnings of its own


class _Names:
    """`keras.layers` with our layers in it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(ours if name in ours.__all__ else layers, name)


def _tests(module: str, case: str) -> Any:
    found = importlib.import_module(f"keras.src.layers.regularization.{module}_test")
    vars(found)["layers"] = _Names()
    return getattr(found, case)


class TestDropout(_tests("dropout", "DropoutTest")):  # type: ignore[misc]  # made at run time
    pass


class TestAlphaDropout(_tests("alpha_dropout", "AlphaDropoutTest")):  # type: ignore[misc]  # as above
    pass


class TestGaussianDropout(_tests("gaussian_dropout", "GaussianDropoutTest")):  # type: ignore[misc]  # as above
    pass


class TestSpatialDropout(_tests("spatial_dropout", "SpatialDropoutTest")):  # type: ignore[misc]  # as above
    pass


def test_the_layers_under_test_are_ours() -> None:
    for case in (TestDropout, TestAlphaDropout, TestGaussianDropout, TestSpatialDropout):
        test = next(getattr(case, name) for name in dir(case) if name.startswith("test_"))
        assert test.__globals__["layers"].Dropout is ours.Dropout
    assert layers.Dropout is not ours.Dropout
