import numpy as np
import pytest

from dropkit.core.reference import apply, mask
from dropkit.methods.zoneout import zoneout

NEW, PREVIOUS = np.linspace(1, 2, 64), np.linspace(-5, -4, 64)


def test_training_keeps_the_new_state_unscaled_or_the_previous_one() -> None:
    kept = mask(6, NEW.shape, zoneout(0.3)) != 0
    assert 0 < kept.sum() < kept.size
    assert np.array_equal(apply(NEW, zoneout(0.3), key=6, fill=PREVIOUS), np.where(kept, NEW, PREVIOUS))


def test_evaluation_is_the_expected_state() -> None:
    expected = 0.7 * NEW + 0.3 * PREVIOUS
    assert apply(NEW, zoneout(0.3), mode="eval", fill=PREVIOUS) == pytest.approx(expected, rel=1e-14)


def test_the_extremes_are_a_plain_and_a_frozen_state() -> None:
    assert np.array_equal(apply(NEW, zoneout(0.0), fill=PREVIOUS), NEW)
    assert np.array_equal(apply(NEW, zoneout(1.0), fill=PREVIOUS), PREVIOUS)
    assert np.array_equal(apply(NEW, zoneout(1.0), mode="eval", fill=PREVIOUS), PREVIOUS)
