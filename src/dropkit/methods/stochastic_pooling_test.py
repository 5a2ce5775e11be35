import numpy as np
import pytest

from dropkit.methods.stochastic_pooling import METHOD, chosen, shares

REGION = np.array([1.0, 0.0, 4.0, 3.0, -2.0])


def test_a_unit_passes_on_an_interval_as_long_as_its_share() -> None:
    """Numbers at the middle of 80 equal cells: shares of eighths fill whole cells, so the count is exact."""
    u = (np.arange(80) + 0.5) / 80
    index = chosen(np.broadcast_to(REGION, (80, 5)), u)
    assert np.bincount(index, minlength=6).tolist() == [10, 0, 40, 30, 0, 0]
    assert shares(REGION).tolist() == [1 / 8, 0, 4 / 8, 3 / 8, 0]


def test_the_eval_map_is_the_mean_over_draws() -> None:
    u = (np.arange(80) + 0.5) / 80
    passed = REGION[chosen(np.broadcast_to(REGION, (80, 5)), u)]
    assert (shares(REGION) * REGION).sum() == pytest.approx(passed.mean(), rel=1e-14)


@pytest.mark.parametrize("u", [2.0**-33, 1 - 2.0**-33])
def test_the_ends_of_the_draws_pick_a_unit_with_a_share(u: float) -> None:
    regions = np.array([[0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 1e-30, 0.0]], dtype=np.float32)
    index = chosen(regions, np.array([u, u]))
    assert (regions[[0, 1], index] > 0).all()


def test_a_region_without_activation_passes_nothing() -> None:
    regions = np.array([[0.0, -1.0], [-3.0, -3.0]])
    assert chosen(regions, np.array([0.1, 0.9])).tolist() == [2, 2]
    assert (shares(regions) == 0).all()


def test_the_picture_has_one_unit_a_region() -> None:
    per_region = METHOD.picture(3).reshape(8, 2, 16, 2).sum((1, 3))
    assert (per_region == 1).all()
