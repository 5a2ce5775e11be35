import numpy as np
import pytest

from dropkit.experiments.bootstrap import interval


def losses(seed: int, gain: float, runs: int = 10, rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Two arms whose errors share rows that are hard and runs that went badly."""
    rng = np.random.default_rng(seed)
    hard, bad = rng.normal(0, 0.3, (1, rows)), rng.normal(0, 0.05, (runs, 1))
    arm, none = (1 + hard + bad + rng.normal(0, 0.3, (runs, rows)) for _ in range(2))
    return arm - gain, none


def test_the_difference_is_that_of_the_means() -> None:
    arm, none = losses(0, 0.1)
    mean, low, high = interval(arm, none)
    assert mean == pytest.approx(arm.mean() - none.mean())
    assert low < mean < high


def test_an_rmse_is_the_root_of_a_mean() -> None:
    arm, none = losses(0, 0.1)
    mean, low, high = interval(arm**2, none**2, root=True)
    assert mean == pytest.approx(np.sqrt((arm**2).mean()) - np.sqrt((none**2).mean()))
    assert low < mean < high


def test_intervals_hold_the_truth_at_least_as_often_as_they_say() -> None:
    # 100 studies: a method that held it in 95 % would hold it in fewer than 85 of them once in 10^4 times.
    held = sum(low <= -0.1 <= high for _, low, high in (interval(*losses(seed, 0.1)) for seed in range(100)))
    assert held >= 85


def test_intervals_are_not_so_wide_as_to_say_nothing() -> None:
    # Rows and runs that both arms share cancel out: 0.3 sqrt(2 / 2000) = 0.0095 is left of the spread.
    assert all(high < 0 for _, _, high in (interval(*losses(seed, 0.1)) for seed in range(20)))


def test_the_same_seed_gives_the_same_interval() -> None:
    arm, none = losses(0, 0.1)
    assert interval(arm, none) == interval(arm, none)
    assert interval(arm, none) != interval(arm, none, seed=1)


def test_rows_of_one_group_are_drawn_together() -> None:
    rng, none = np.random.default_rng(0), np.zeros((6, 300))
    arm = np.repeat(rng.normal(size=30), 10) + 0.1 * rng.normal(size=(6, 300))
    (_, low, high), (_, lowest, highest) = (
        interval(arm, none, groups=groups) for groups in (None, np.arange(300) // 10)
    )
    # Ten equal rows know as much as one, so that the spread is sqrt(10) times as large.
    assert 2.5 < (highest - lowest) / (high - low) < 4


def test_groups_of_one_row_each_are_rows() -> None:
    arm, none = losses(0, 0.1)
    assert interval(arm, none, groups=np.arange(200) * 3) == interval(arm, none)
