from itertools import product

import numpy as np
import pytest

from dropkit.core.rate import ONE
from dropkit.methods.forgetful_causal_mask import forgotten, visible

HIDDEN = np.array(list(product([False, True], repeat=4)))


def test_no_query_sees_the_future_and_each_sees_itself() -> None:
    seen = visible(HIDDEN, np)
    assert seen.shape == (16, 1, 4, 4)
    assert not seen[:, :, *np.triu_indices(4, 1)].any()
    assert seen[:, :, range(4), range(4)].all()


def test_a_hidden_token_is_hidden_from_all_later_ones_and_no_other_is() -> None:
    for hidden, seen in zip(HIDDEN, visible(HIDDEN, np)[:, 0], strict=True):
        for query, key in zip(*np.tril_indices(4, -1), strict=True):
            assert seen[query, key] == (not hidden[key])


def test_over_all_rates_half_of_the_largest_is_forgotten() -> None:
    n = 200
    middle = (2 * np.arange(n) + 1) / (2 * n)
    u = np.round(middle * ONE).astype(np.int64)[None, :]
    share = forgotten(np.repeat(u, n, 0), middle[:, None], 0.5, np)
    assert share.mean() == pytest.approx(0.25, abs=1 / n**2)
    # Of a sequence at the middle of all rates a quarter is forgotten, not whatever the others have.
    assert share[n // 2].mean() == pytest.approx(0.25, abs=1 / n)
    assert share[0].sum() == 0
