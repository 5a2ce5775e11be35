import numpy as np
import pytest

from dropkit.core.drop import Drop
from dropkit.core.reference import apply, mask
from dropkit.methods.drop_activation import METHOD, drop_activation

X = np.linspace(-3.0, 3.0, 24).reshape(4, 6)


def test_a_dropped_activation_is_the_identity_and_a_kept_one_is_relu() -> None:
    y = apply(X.clip(0), drop_activation(0.4), 5, fill=X)
    gone = mask(5, X.shape, Drop(0.4, scale="none")) == 0
    assert gone.any()
    assert not gone.all()
    assert np.array_equal(y, np.where(gone, X, np.maximum(X, 0)))


def test_evaluation_is_the_leaky_relu_of_slope_rate() -> None:
    y = apply(X.clip(0), drop_activation(0.05), mode="eval", fill=X)
    assert y == pytest.approx(np.where(X > 0, X, 0.05 * X), rel=1e-15)


def test_evaluation_is_the_expected_value_of_training() -> None:
    """Summed over both outcomes of each entry's coin."""
    rate = 0.3
    never, always = (apply(X.clip(0), drop_activation(p), 1, fill=X) for p in (0.0, 1.0))
    expected = apply(X.clip(0), drop_activation(rate), mode="eval", fill=X)
    assert (1 - rate) * never + rate * always == pytest.approx(expected, rel=1e-15)


def test_in_the_picture_no_active_unit_falls() -> None:
    assert set(METHOD.picture().flatten()) == {0.0, 1.0}
    assert METHOD.picture().mean() > 0.5
