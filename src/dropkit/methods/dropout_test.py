import numpy as np
import pytest

from dropkit.core.reference import apply
from dropkit.methods.dropout import dropout


def test_weights_scaled_by_the_keep_probability_expect_what_training_drew() -> None:
    drop = dropout(0.3, scale="eval")
    assert drop.noise.moments(0.3, "eval").mean == pytest.approx(0.7)
    assert apply(np.ones(3), drop, mode="eval") == pytest.approx(0.7)


def test_inverted_dropout_expects_its_input_and_has_the_classic_variance() -> None:
    moments = dropout(0.3).noise.moments(0.3)
    assert moments == pytest.approx((1, 0.3 / 0.7))
