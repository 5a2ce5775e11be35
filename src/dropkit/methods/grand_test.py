import numpy as np
import pytest

from dropkit.core.reference import mask
from dropkit.methods.grand import METHOD, disagreement, drop_rows, mixed_order, sharpen

RNG = np.random.default_rng(0)
A, X = RNG.random((5, 5)), RNG.standard_normal((5, 3))


def test_the_mean_of_powers_is_that_of_the_matrix() -> None:
    powers = sum(np.linalg.matrix_power(A, k) for k in range(5)) / 5
    assert mixed_order(X, lambda x: A @ x, 4) == pytest.approx(powers @ X, rel=1e-12)
    assert mixed_order(X, lambda x: A @ x, 0) is not X
    assert np.array_equal(mixed_order(X, lambda x: A @ x, 0), X)


def test_the_mean_over_every_pattern_of_nodes_is_plain_propagation() -> None:
    rows = (np.arange(2**5)[:, None] >> np.arange(5) & 1).astype(bool)
    chances = np.where(rows, 0.3, 0.7).prod(1)
    views = [mixed_order(np.where(gone[:, None], 0, X / 0.7), lambda x: A @ x, 3) for gone in rows]
    assert np.tensordot(chances, views, 1) == pytest.approx(mixed_order(X, lambda x: A @ x, 3), rel=1e-12)


def test_a_node_loses_all_of_its_features() -> None:
    drawn = mask(3, (40, 6), drop_rows(0.4))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], drawn.shape))
    assert METHOD.picture(3).max() == 2.0


def test_sharpening_keeps_the_order_and_ends_at_the_two_limits() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    assert sharpen(p, 1.0) == pytest.approx(p, rel=1e-15)
    assert sharpen(p, 0.01).round() == pytest.approx(np.eye(3)[[0, 2]])
    assert sharpen(p, 0.5) == pytest.approx(p**2 / (p**2).sum(1, keepdims=True), rel=1e-12)


def test_views_that_agree_with_the_centre_cost_nothing() -> None:
    p = np.array([[[0.5, 0.5]], [[1.0, 0.0]]])
    assert disagreement(p, p) == 0
    assert disagreement(p, p.mean(0)) == pytest.approx(2 * 0.25**2, rel=1e-15)
