"""What the layers refuse, in the words of Keras."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import dropkit
import dropkit.keras as dk
from dropkit.core.check import DropkitError

RATES = r"Invalid value received for argument `rate`. Expected a float value between 0 and 1. Received: rate="


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dk.Dropout(-0.1), RATES + "-0.1; write"),
        (lambda: dk.Dropout(float("nan")), RATES + "nan"),
        (lambda: dk.GaussianDropout("0.5"), RATES + "0.5"),
        (lambda: dk.Dropout(True), RATES + "True"),
        (lambda: dk.DropPath([0.1]), RATES),
        (lambda: dk.Dropout(dropkit.Learned(0.1)), "`rate`. Expected a rate that this layer can hold"),
        (lambda: dk.Dropout(0.5, noise_shape="ab"), "`noise_shape`. Expected a tuple or list of integers"),
        (lambda: dk.Dropout(0.5, noise_shape=3), "`noise_shape`. Expected an iterable of integers"),
        (lambda: dk.Dropout(0.5, noise_shape=(1, 0)), "to be positive integers or None"),
        (lambda: dk.Dropout(0.5, noise_shape=(1, None))(np.ones((2, 3, 4)), training=True), "`noise_shape`"),
        (lambda: dk.Dropout(0.5, noise_shape=(2, 5))(np.ones((2, 3)), training=True), "`noise_shape`"),
        (lambda: dk.SpatialDropout2D(0.5, data_format="first"), "`data_format`. Expected one of"),
        (lambda: dk.DropBlock2D(0.5, 0), "block_size"),
        (lambda: dk.DropBlock2D(0.5, (1, 2, 3)), "block_size has one side for each axis"),
        (lambda: dk.Drop(0.5, "a b -> c"), "a b -> c"),
        (lambda: dk.Drop(0.5, "b t d -> b")(np.ones((2, 3)), training=True), "b t d -> b"),
        (lambda: dk.Drop(0.5, noise="gauss"), "gaussian"),
        (
            lambda: dk.Dropout(0.5)(np.ones((2, 3), "int32"), training=True),
            "`inputs`. Expected a tensor of a float",
        ),
        (lambda: dk.Dropout(0.0).next_key, "a rate above 0 where a key is asked for"),
        (lambda: dk.Dropout(0.5).move_to(3), "layer has a rate on a schedule"),
    ],
)
def test_bad_arguments_are_refused(make: Any, message: str) -> None:
    keras.config.enable_traceback_filtering()  # Keras's own tests switch it off
    with pytest.raises(DropkitError) as error:
        make()
    assert message in str(error.value)
