import numpy as np
import pytest

from dropkit.core.noise import Continuous
from dropkit.methods.uniform_dropout import uniform_dropout


def factors(rate: float, u: list[int]) -> np.ndarray:
    noise = uniform_dropout(rate).noise
    assert isinstance(noise, Continuous)
    return np.asarray(noise.factor(np, np.array(u, dtype=np.int64), lambda: None, rate))


def test_the_papers_mask_scaled_to_mean_one_is_rate_one_quarter() -> None:
    # u is the middle of a cell of width 2**-32: twice U(0, 1) at 1/2**33, 1/2 and 1 - 1/2**33.
    assert factors(0.25, [0, 2**31, 2**32 - 1]) == pytest.approx([2**-32, 1 + 2**-32, 2 - 2**-32], rel=1e-12)


def test_no_draw_leaves_the_stated_interval_around_one() -> None:
    width = (3 * 0.4 / 0.6) ** 0.5
    assert factors(0.4, [0, 2**32 - 1]) == pytest.approx([1 - width, 1 + width], rel=1e-8)
