from itertools import combinations, permutations

import numpy as np
import pytest

from dropkit.methods.cutoff import cut, cut_count, divergence, span

ROWS = np.array(list(permutations([10, 20, 30, 40])))
FREE = np.ones_like(ROWS, dtype=bool)


def test_every_subset_of_the_share_is_equally_likely() -> None:
    gone = cut(ROWS, FREE, 0.5, np)
    found, counts = np.unique([np.flatnonzero(row) for row in gone], axis=0, return_counts=True)
    assert [tuple(row) for row in found.tolist()] == list(combinations(range(4), 2))
    assert set(counts) == {4}


def test_what_is_protected_stays_and_the_share_is_of_the_others() -> None:
    free = FREE & [False, True, True, True]
    gone = cut(ROWS, free, 0.6, np)
    assert not gone[:, 0].any()
    assert (gone.sum(-1) == 2).all()
    assert cut(ROWS, free, 1.0, np).tolist() == free.tolist()
    assert not cut(ROWS, FREE & False, 1.0, np).any()


def test_every_start_of_a_span_is_equally_likely_and_the_span_has_no_hole() -> None:
    u = (np.arange(2**8) * 2**24)[:, None]
    gone = span(u, np.ones((2**8, 5), bool), 0.4, np)
    starts, counts = np.unique(gone.argmax(-1), return_counts=True)
    assert starts.tolist() == [0, 1, 2, 3]
    assert set(counts) == {64}
    assert (gone.sum(-1) == 2).all()
    assert (np.abs(np.diff(gone.astype(int), prepend=0, append=0)).sum(-1) == 2).all()


def test_the_largest_draw_starts_the_last_span() -> None:
    gone = span(np.array([[2**32 - 1]]), np.ones((1, 5), bool), 0.4, np)
    assert gone.tolist() == [[False, False, False, True, True]]
    assert span(np.array([[2**32 - 1]]), np.ones((1, 5), bool), 1.0, np).all()


def test_a_span_jumps_over_what_is_protected() -> None:
    free = np.array([[False, True, True, False, True, False]])
    assert span(np.array([[2**31]]), free, 2 / 3, np).tolist() == [[False, False, True, False, True, False]]


@pytest.mark.parametrize(
    ("n", "rate", "count"), [(10, 0.1, 1), (10, 0.25, 3), (7, 0.1, 1), (4, 0.1, 0), (3, 1, 3)]
)
def test_the_count_is_the_nearest(n: int, rate: float, count: int) -> None:
    assert cut_count(n, rate, np) == count


def test_the_divergence_of_views_lies_between_0_and_their_logarithm() -> None:
    sure = np.log(np.maximum(np.eye(3), 1e-300))
    assert divergence(sure, np) == pytest.approx(np.log(3))
    assert divergence(np.log(np.eye(2) * 0.5 + 0.25), np) == pytest.approx(
        0.75 * np.log(0.75 / 0.5) + 0.25 * np.log(0.25 / 0.5)
    )
    assert divergence(np.log(np.full((4, 2, 5), 0.2)), np) == pytest.approx(np.zeros(2))


def test_a_class_without_probability_adds_nothing() -> None:
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]))
    expected = (np.log(1 / 0.75) + 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)) / 2
    assert divergence(log_p, np) == pytest.approx(expected)
