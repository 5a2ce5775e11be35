import math

import numpy as np
import pytest

from dropkit.methods.standout import METHOD, rate

SCORES = np.array([-30.0, -1.5, 0.0, 0.7, 30.0])


def test_the_probability_of_keeping_is_the_published_sigmoid() -> None:
    published = 1 / (1 + np.exp(-(0.5 * SCORES - 0.3)))
    assert 1 - rate(np, SCORES, 0.5, -0.3) == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("wanted", [0.1, 0.5, 0.9])
def test_without_the_score_it_is_dropout_of_one_rate(wanted: float) -> None:
    beta = math.log((1 - wanted) / wanted)
    assert rate(np, SCORES, 0.0, beta) == pytest.approx(np.full(5, wanted), rel=1e-14)


def test_the_ends_of_beta_keep_all_and_nothing() -> None:
    assert (rate(np, SCORES, 1.0, math.inf) == 0).all()
    assert (rate(np, SCORES, 1.0, -math.inf) == 1).all()


def test_the_picture_keeps_more_where_the_score_is_higher() -> None:
    kept = METHOD.picture(7)
    assert kept[:, :8].mean() < 0.1
    assert kept[:, -8:].mean() > 0.9
