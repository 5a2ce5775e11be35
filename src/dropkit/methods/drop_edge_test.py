import numpy as np
import pytest

from dropkit.methods.drop_edge import METHOD, fallen

# A triangle in both directions, a loop, and an edge without its reverse.
SOURCE = np.array([0, 1, 1, 2, 2, 0, 1, 2])
TARGET = np.array([1, 0, 2, 1, 0, 2, 1, 3])
ROWS = (np.arange(2**8)[:, None] >> np.arange(8) & 1).astype(bool)


def outcomes(undirected: bool, keep_loops: bool) -> np.ndarray:
    """What every pattern of coins drops: nothing is sampled."""
    return np.array([fallen(coins, SOURCE, TARGET, undirected, keep_loops, np) for coins in ROWS])


@pytest.mark.parametrize("undirected", [True, False])
def test_every_edge_falls_with_the_rate_and_a_loop_never(undirected: bool) -> None:
    chances = np.where(ROWS, 0.3, 0.7).prod(1)
    assert chances @ outcomes(undirected, True) == pytest.approx([0.3] * 6 + [0.0, 0.3], rel=1e-12)
    assert chances @ outcomes(undirected, False) == pytest.approx([0.3] * 8, rel=1e-12)


def test_both_directions_fall_together_and_different_edges_apart() -> None:
    gone = outcomes(True, True)
    assert np.array_equal(gone[:, [0, 2, 4]], gone[:, [1, 3, 5]])
    assert len(np.unique(gone[:, [0, 2, 4, 7]], axis=0)) == 16
    assert len(np.unique(outcomes(False, False), axis=0)) == 256


def test_the_picture_is_a_symmetric_graph_with_its_loops() -> None:
    drawn = METHOD.picture(3)
    assert np.array_equal(drawn, drawn.T)
    assert (np.diag(drawn) == 1).all()
