from itertools import combinations, permutations

import numpy as np
import pytest

from dropkit.core.choose import kept_places

ROWS = np.array(list(permutations([10, 20, 30, 40, 50])))
FREE = np.broadcast_to([False, True, True, True, True], ROWS.shape)


def test_every_choice_of_patches_is_equally_likely_and_the_class_token_stays() -> None:
    kept = kept_places(ROWS, FREE, 2, np)
    seen, counts = np.unique(kept, axis=0, return_counts=True)
    assert {tuple(row) for row in seen.tolist()} == {(0, *pair) for pair in combinations(range(1, 5), 2)}
    assert set(counts) == {len(ROWS) / 6}


@pytest.mark.parametrize("removed", [0, 1, 4])
def test_the_order_stays_and_the_count_is_exact(removed: int) -> None:
    kept = kept_places(ROWS, FREE, removed, np)
    assert kept.shape == (len(ROWS), 5 - removed)
    assert (np.diff(kept) > 0).all()
    assert (kept[:, 0] == 0).all()


def test_what_is_protected_does_not_move_the_choice_among_the_others() -> None:
    all_free = kept_places(ROWS, np.ones_like(FREE), 2, np)
    for row, kept, alone in zip(ROWS, all_free, kept_places(ROWS, FREE, 2, np), strict=True):
        if 0 in kept:
            assert kept.tolist() == alone.tolist(), row
