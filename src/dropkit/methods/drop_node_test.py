import numpy as np
import pytest

from dropkit.methods.drop_node import METHOD, incident, renumbered

SOURCE, TARGET = np.array([0, 1, 2, 3, 2]), np.array([1, 0, 2, 1, 3])
ROWS = (np.arange(2**4)[:, None] >> np.arange(4) & 1).astype(bool)


def test_an_edge_falls_unless_both_of_its_nodes_stay() -> None:
    gone = np.array([incident(nodes, SOURCE, TARGET) for nodes in ROWS])
    chances = np.where(ROWS, 0.3, 0.7).prod(1)
    assert chances @ gone == pytest.approx([1 - 0.7**2] * 2 + [0.3] + [1 - 0.7**2] * 2, rel=1e-12)


def test_the_nodes_that_stay_are_numbered_in_their_order() -> None:
    for nodes in ROWS:
        assert renumbered(nodes, np)[~nodes].tolist() == list(range((~nodes).sum()))


def test_the_picture_loses_rows_and_columns_together() -> None:
    drawn = METHOD.picture(3)
    stays = np.diag(drawn)
    assert np.array_equal(drawn, np.outer(stays, stays))
