import pytest

from dropkit.experiments.looks import INTERIM, level_at


@pytest.mark.parametrize("looks", [1, 2, 3, 5])
def test_the_levels_of_all_looks_sum_to_the_plans(looks: int) -> None:
    levels = [level_at(0.05, look, looks) for look in range(1, looks + 1)]
    assert sum(levels) == pytest.approx(0.05)
    assert set(levels[:-1]) <= {INTERIM}
