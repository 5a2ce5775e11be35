import itertools

import numpy as np
import pytest

from dropkit.core.reference import mask
from dropkit.methods.lora_dropout import METHOD, lora_dropout

A, B = np.array([[1.0, -2.0, 0.5]]), np.array([[3.0], [-1.0]])


def outcomes(rate: float) -> list[tuple[float, np.ndarray]]:
    """Every pair of masks with its probability, and the update under it."""
    factor, found = 1 / (1 - rate), []
    for kept in itertools.product([0, 1], repeat=5):
        m = np.array(kept)
        chance = np.where(m == 1, 1 - rate, rate).prod()
        found.append((float(chance), (B * m[3:, None] * factor) @ (A * m[:3] * factor)))
    return found


def test_the_mean_of_the_update_stays() -> None:
    assert sum(chance * update for chance, update in outcomes(0.3)) == pytest.approx(B @ A, rel=1e-13)


def test_an_entry_is_dropped_with_the_share_that_the_paper_bounds() -> None:
    p = 0.3
    gone = sum(chance * (update == 0) for chance, update in outcomes(p))
    assert gone == pytest.approx(np.full((2, 3), 2 * p - p**2), rel=1e-13)


def test_the_rank_is_never_dropped() -> None:
    columns, rows = lora_dropout(0.5)
    a, b = mask(1, (4, 64), columns), mask(1, (64, 4), rows)
    assert np.array_equal(a, np.broadcast_to(a[:1], a.shape))
    assert np.array_equal(b, np.broadcast_to(b[:, :1], b.shape))
    assert len(np.unique(a)) == len(np.unique(b)) == 2


def test_the_picture_has_whole_rows_and_columns() -> None:
    drawn = METHOD.picture(7) != 0
    assert np.array_equal(drawn, drawn.any(1, keepdims=True) & drawn.any(0, keepdims=True))
