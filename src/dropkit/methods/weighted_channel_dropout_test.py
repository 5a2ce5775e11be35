import itertools

import numpy as np
import pytest

from dropkit.methods.weighted_channel_dropout import METHOD, rescale, selected


@pytest.mark.parametrize("scores", [(3.0, 1.0), (1.0, 1.0), (0.2, 0.05), (9.0, 1.0)])
def test_one_of_two_channels_is_kept_in_proportion_to_its_score(scores: tuple[float, float]) -> None:
    """On a grid of n x n numbers: the border between both outcomes rises, so it crosses at most 2 n cells."""
    n = 400
    side = (np.arange(n) + 0.5) / n
    u = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    kept = selected(np.broadcast_to(scores, u.shape), u, 0.5, np)
    assert (kept.sum(1) == 1).all()
    assert kept[:, 0].mean() == pytest.approx(scores[0] / sum(scores), abs=2 / n)


def test_the_keys_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    scores, u = rng.random((50, 7)), rng.random((50, 7))
    order = np.argsort(-(u ** (1 / scores)), 1)
    kept = selected(scores, u, 3 / 7, np)
    assert all(set(np.flatnonzero(row)) == set(best[:4]) for row, best in zip(kept, order, strict=True))


@pytest.mark.parametrize(("rate", "count"), [(0.0, 10), (0.1, 9), (0.3, 7), (0.7, 3), (0.9, 1), (1.0, 0)])
def test_the_share_that_is_kept_is_the_same_in_every_sample(rate: float, count: int) -> None:
    rng = np.random.default_rng(1)
    kept = selected(rng.random((20, 10)), rng.random((20, 10)), rate, np)
    assert (kept.sum(1) == count).all()


def test_quiet_channels_come_last_and_take_turns() -> None:
    scores = np.broadcast_to([0.0, 1e-20, 0.0, 0.0], (6, 4))
    u = np.insert(np.array(list(itertools.permutations((0.2, 0.5, 0.9)))), 1, 1e-9, axis=1)
    kept = selected(scores, u, 0.5, np)
    assert kept[:, 1].all()
    assert kept[:, [0, 2, 3]].sum(0).tolist() == [2, 2, 2]


def test_alpha_keeps_the_sum_of_the_scores() -> None:
    scores, kept = np.array([[1.0, 2.0, 5.0], [0.0, 0.0, 0.0]]), np.array([[True, False, True]] * 2)
    alpha = rescale(scores, kept)
    assert alpha[0] * 6 == pytest.approx(8)
    assert alpha[1] == 1


def test_the_picture_keeps_more_of_the_active_channels() -> None:
    drawn = METHOD.picture(7)
    kept = drawn != 0
    assert (kept.sum(1) <= 12).all()
    assert all(len(set(row[row != 0])) == 1 for row in drawn)
