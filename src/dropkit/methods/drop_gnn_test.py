import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.core.check import Whole
from dropkit.methods.drop_gnn import METHOD, drop_gnn_rate


@pytest.mark.parametrize("neighbours", [0, 1, 2, 7, 30])
def test_one_node_alone_is_missing_most_often_at_that_rate(neighbours: int) -> None:
    best = drop_gnn_rate(neighbours)
    rates = np.append(np.linspace(0, 1, 1001), best)
    chances = rates * (1 - rates) ** neighbours
    assert chances.max() == pytest.approx(chances[-1], rel=1e-12)


@pytest.mark.parametrize("neighbours", Whole(0, "").bad())
def test_neighbours_are_counted(neighbours: object) -> None:
    with pytest.raises(DropkitError, match="neighbours must be a whole number of at least 0"):
        drop_gnn_rate(neighbours)  # type: ignore[arg-type]  # that is the point


def test_each_run_misses_nodes_of_its_own() -> None:
    assert len(np.unique(METHOD.picture(1), axis=0)) > 6
