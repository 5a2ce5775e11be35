import numpy as np
import pytest

from dropkit.methods.max_dropout import METHOD, fallen

X = np.array([-1.0, 0.0, 0.5, 2.0, 3.0])


@pytest.mark.parametrize("band", [0.0, 0.1, 0.3, 0.75, 1.0])
def test_what_normalises_above_1_less_the_band_falls(band: float) -> None:
    normalised = (X - X.min()) / (X.max() - X.min())
    assert np.array_equal(fallen(X, X.min(), X.max(), band), normalised > 1 - band)


def test_the_largest_falls_at_any_band_and_the_smallest_never() -> None:
    for band in (1e-6, 1.0):
        gone = fallen(X, X.min(), X.max(), band)
        assert gone[-1]
        assert not gone[0]


def test_shift_and_scale_of_the_activations_change_nothing() -> None:
    moved = 8 * X + 4
    assert np.array_equal(fallen(moved, moved.min(), moved.max(), 0.3), fallen(X, X.min(), X.max(), 0.3))


def test_a_constant_map_stays() -> None:
    assert not fallen(np.ones(3), 1.0, 1.0, 0.5).any()


def test_the_picture_drops_about_the_band_of_uniform_values() -> None:
    assert set(METHOD.picture().flatten()) == {0.0, 1.0}
