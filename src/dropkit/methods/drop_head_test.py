from itertools import permutations, product

import numpy as np
import pytest

from dropkit.core.rate import ONE, threshold
from dropkit.methods.drop_head import factors

LEVELS = (2 * np.arange(4) + 1) * ONE // 8
ROWS = np.array(list(permutations(LEVELS)))


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_factors_of_a_sample_add_up_to_the_number_of_heads(rate: float) -> None:
    drawn = factors(ROWS, threshold(rate, np), np)
    assert drawn.sum(-1) == pytest.approx(np.full(len(ROWS), 4.0))
    assert drawn.mean(0) == pytest.approx(np.ones(4))
    assert set(np.unique(drawn)) == {0.0, 4 / (4 - min(round(4 * rate), 3))} - ({0.0} if rate == 0 else set())


def test_one_head_stays_at_rate_1() -> None:
    drawn = factors(ROWS, ONE, np)
    assert ((drawn > 0).sum(-1) == 1).all()
    assert (drawn.max(-1) == 4).all()


def test_a_head_falls_at_the_rate_less_the_share_that_is_spared() -> None:
    # A grid stands for two independent uniform draws; ties, which 32-bit draws hardly have, are left out.
    grid = np.array([pair for pair in product(range(64), repeat=2) if pair[0] != pair[1]])
    fallen = (factors(grid, 32, np) == 0).mean()
    below = (grid < 32).mean()
    both = (grid < 32).all(-1).mean()
    assert fallen == pytest.approx(below - both / 2)
