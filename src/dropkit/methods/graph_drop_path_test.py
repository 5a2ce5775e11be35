import itertools

import numpy as np
import pytest

from dropkit.methods.graph_drop_path import METHOD, walked

HALF = 2**31
# A circle of four nodes, both directions: every node has two edges to choose from.
BEGIN, END = RING = np.array([(i, (i + step) % 4) for i in range(4) for step in (1, -1)]).T


def roots(*chosen: int, nodes: int = 4) -> np.ndarray:
    return np.isin(np.arange(nodes), chosen)


def test_every_walk_of_the_circle_is_equally_likely() -> None:
    hits = []
    for choice in itertools.product([0, HALF], repeat=2):
        u = np.broadcast_to(np.array(choice), (4, 1, 2))
        hits.append(walked(BEGIN, END, roots(0), u, False, np))
    found = {frozenset(map(tuple, RING[:, hit].T.tolist())) for hit in hits}
    assert found == {
        frozenset({(0, 1), (1, 2)}),
        frozenset({(0, 1), (1, 0)}),
        frozenset({(0, 3), (3, 2)}),
        frozenset({(0, 3), (3, 0)}),
    }


def test_the_share_of_an_edge_is_that_of_the_transition_matrix() -> None:
    rng = np.random.default_rng(0)
    source, target = np.nonzero(rng.random((6, 6)) < 0.5)
    degree = np.bincount(source, minlength=6)
    parts = int(np.lcm.reduce(degree[degree > 0]))
    u = (np.arange(parts) * 2**32 + 2**31) // parts
    hit = np.zeros(len(source))
    for draw in u:
        hit += walked(source, target, roots(2, nodes=6), np.full((6, 1, 1), draw), False, np)
    assert hit / parts == pytest.approx(np.where(source == 2, 1 / degree[2], 0), rel=1e-12)


def test_an_edge_of_two_directions_falls_whole_where_it_is_undirected() -> None:
    u = np.zeros((4, 1, 1), dtype=np.int64)
    hit = walked(BEGIN, END, roots(0), u, True, np)
    assert sorted(map(tuple, RING[:, hit].T.tolist())) == [(0, 1), (1, 0)]


def test_a_walk_ends_where_no_edge_begins_and_isolated_roots_walk_nowhere() -> None:
    source, target = np.array([3, 1, 0]), np.array([0, 2, 1])
    u = np.zeros((6, 2, 9), dtype=np.int64)
    assert walked(source, target, roots(1, nodes=6), u, False, np).tolist() == [False, True, False]
    assert walked(source, target, roots(3, nodes=6), u, False, np).tolist() == [True, True, True]
    assert not walked(source, target, roots(4, 5, nodes=6), u, False, np).any()


def test_the_draw_picks_among_the_edges_to_the_last_number() -> None:
    source, target = np.zeros(3, dtype=np.int64), np.array([1, 2, 3])
    for draw, edge in ((0, 0), (2**32 // 3, 0), (2**32 // 3 + 1, 1), (2**32 - 1, 2)):
        hit = walked(source, target, roots(0), np.full((4, 1, 1), draw), False, np)
        assert hit.tolist() == [place == edge for place in range(3)]


def test_the_picture_is_a_symmetric_graph() -> None:
    drawn = METHOD.picture(3)
    assert np.array_equal(drawn, drawn.T)
