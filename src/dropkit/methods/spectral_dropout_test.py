import itertools
import math

import numpy as np
import pytest

from dropkit.methods.spectral_dropout import METHOD, WEAK, along, basis, pruned


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_the_transform_is_orthonormal_and_its_rows_are_cosines(n: int) -> None:
    matrix = basis(n, np)
    assert matrix @ matrix.T == pytest.approx(np.eye(n), abs=1e-14)
    for k, j in itertools.product(range(n), repeat=2):
        size = math.sqrt((1 if k == 0 else 2) / n)
        assert matrix[k, j] == pytest.approx(size * math.cos(math.pi * k * (2 * j + 1) / (2 * n)), abs=1e-14)


def test_a_constant_has_one_coefficient_and_there_is_a_way_back() -> None:
    x = np.full((2, 6, 3), 5.0)
    c = along(x, basis(6, np), 1, np)
    assert c[:, 0] == pytest.approx(5 * math.sqrt(6))
    assert c[:, 1:] == pytest.approx(0, abs=1e-13)
    assert along(c, basis(6, np).T, 1, np) == pytest.approx(x, rel=1e-14)


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.9])
@pytest.mark.parametrize("weak", WEAK.words)
def test_the_mean_over_every_coin_is_the_coefficient_unless_it_is_always_pruned(
    rate: float, weak: str
) -> None:
    c = np.array([3.0, -0.2, 0.5, -2.0])
    coins = np.array(list(itertools.product([False, True], repeat=4)))
    weights = np.where(coins, rate, 1 - rate).prod(1)
    mean = weights @ pruned(np.broadcast_to(c, coins.shape), coins, 0.5, rate, weak, np)
    expected = np.where(abs(c) <= 0.5, 0, c) if weak == "pruned" else c
    assert mean == pytest.approx(expected, rel=1e-13)


def test_who_is_at_risk() -> None:
    c, coin = np.array([3.0, 3.0, 0.1, 0.1]), np.array([False, True, False, True])
    assert pruned(c, coin, 0.5, 0.5, "pruned", np).tolist() == [6.0, 0.0, 0.0, 0.0]
    assert pruned(c, coin, 0.5, 0.5, "at_risk", np).tolist() == [3.0, 3.0, 0.2, 0.0]
    assert pruned(c, np.full(4, True), 0.5, 1.0, "at_risk", np).tolist() == [3.0, 3.0, 0.0, 0.0]


def test_the_picture_shows_coefficients() -> None:
    drawn = METHOD.picture(7)
    assert set(np.unique(drawn.round(9))) == {0.0, round(1 / 0.7, 9)}
    assert drawn[:, 0].max() > 0
