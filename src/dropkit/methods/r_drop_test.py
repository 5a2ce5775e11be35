import numpy as np
import pytest

from dropkit.core.drop import Drop
from dropkit.core.key import Key
from dropkit.core.reference import mask
from dropkit.methods.r_drop import METHOD, divergence

P = np.array([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
Q = np.array([[0.6, 0.3, 0.1], [0.1, 0.1, 0.8]])


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.asarray((p * np.log(p / q)).sum(-1))


def test_it_is_the_mean_of_both_divergences_row_by_row() -> None:
    assert divergence(np.log(P), np.log(Q)) == pytest.approx((kl(P, Q) + kl(Q, P)) / 2, rel=1e-13)


def test_both_passes_count_alike_and_agreement_costs_nothing() -> None:
    assert divergence(np.log(P), np.log(Q)) == pytest.approx(divergence(np.log(Q), np.log(P)), rel=1e-14)
    assert not divergence(np.log(P), np.log(P)).any()


def test_a_class_that_both_exclude_adds_nothing() -> None:
    p, q = np.array([0.25, 0.75, 0.0]), np.array([0.5, 0.5, 0.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        assert divergence(np.log(p), np.log(q)) == divergence(np.log(p[:2]), np.log(q[:2]))


def test_the_picture_shows_the_masks_of_two_passes() -> None:
    one, other = METHOD.picture(3)
    assert np.array_equal(one, mask(Key(3).fold("pass", 0), one.shape, Drop(0.3)))
    assert np.array_equal(other, mask(Key(3).fold("pass", 1), one.shape, Drop(0.3)))
