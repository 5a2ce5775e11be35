import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.graph_drop_connect import graph_drop_connect

SHAPE = (30, 24)


def test_the_channels_of_a_block_share_their_subgraph_and_blocks_do_not() -> None:
    drawn = mask(1, SHAPE, graph_drop_connect(0.4, blocks=6)).reshape(30, 6, 4)
    assert np.array_equal(drawn, np.broadcast_to(drawn[..., :1], drawn.shape))
    assert len(np.unique(drawn[..., 0], axis=1).T) == 6


def test_one_block_drops_whole_edges_and_none_named_is_a_block_for_each_channel() -> None:
    drawn = mask(1, SHAPE, graph_drop_connect(0.4, blocks=1))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], SHAPE))
    each, alone = (mask(1, SHAPE, graph_drop_connect(0.4, blocks)) for blocks in (24, None))
    assert np.array_equal(each, alone)


def test_a_block_for_each_adjacency_matrix_is_the_sum_of_the_authors() -> None:
    rng = np.random.default_rng(0)
    source, target = np.nonzero(rng.random((9, 9)) < 0.4)
    x, weight = rng.standard_normal((9, 8)), rng.standard_normal((8, 3))
    kept = mask(2, (len(source), 8), graph_drop_connect(0.4, blocks=2, scale="none"))
    summed = np.zeros((9, 8))
    np.add.at(summed, target, x[source] * kept)
    whole = np.zeros((9, 3))
    for block in (slice(0, 4), slice(4, 8)):
        adjacency = np.zeros((9, 9))
        adjacency[target, source] = kept[:, block.start]
        whole += adjacency @ x[:, block] @ weight[block]
    assert summed @ weight == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("blocks", [0, 1.5, "2"])
def test_blocks_are_counted(blocks: object) -> None:
    with pytest.raises(DropkitError, match="size of axis 'k' must be a whole number of at least 1"):
        graph_drop_connect(0.1, blocks)  # type: ignore[arg-type]  # that is the point


def test_channels_that_do_not_divide_are_refused() -> None:
    with pytest.raises(DropkitError):
        mask(1, (3, 5), graph_drop_connect(0.1, 2))
