import itertools

import numpy as np
import pytest

from dropkit.methods.fractal_drop_path import METHOD, shares, survivors


def outcomes(paths: int, rate: float) -> list[tuple[float, np.ndarray]]:
    """Every pattern of falls, with each lucky path, and how probable it is: nothing is sampled."""
    numbers = np.arange(paths)[:, None]
    found = []
    for fallen, lucky in itertools.product(itertools.product((False, True), repeat=paths), range(paths)):
        gone, u = np.array(fallen)[:, None], np.array([(lucky + 0.5) / paths])
        chance = np.where(gone, rate, 1 - rate).prod() / paths
        found.append((float(chance), survivors(gone, u, numbers)[:, 0]))
    return found


@pytest.mark.parametrize("paths", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_a_path_is_dropped_at_the_rate_less_its_luck(paths: int, rate: float) -> None:
    dropped = sum(chance * ~kept for chance, kept in outcomes(paths, rate))
    assert dropped == pytest.approx(np.full(paths, rate - rate**paths / paths), rel=1e-12)


@pytest.mark.parametrize("paths", [1, 2, 3, 4])
def test_a_join_never_loses_all_and_keeps_its_mean(paths: int) -> None:
    found = outcomes(paths, 0.6)
    assert all(kept.any() for _, kept in found)
    assert sum(chance * shares(kept.astype(float)) for chance, kept in found) == pytest.approx(
        np.full(paths, 1 / paths), rel=1e-12
    )


def test_where_all_fall_one_alone_is_kept() -> None:
    all_fell = [kept for chance, kept in outcomes(3, 1.0) if chance]
    assert [kept.tolist() for kept in all_fell] == np.eye(3, dtype=bool).tolist()


def test_the_weights_of_a_join_add_up_to_one() -> None:
    assert METHOD.picture().sum(0) == pytest.approx(np.ones(32), rel=1e-15)
