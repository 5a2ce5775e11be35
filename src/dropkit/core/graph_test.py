from typing import Any

import numpy as np
import pytest
import torch

from dropkit.core.graph import first_of_pair

SOURCE = np.array([3, 0, 1, 1, 2, 0, 3, 2])
TARGET = np.array([0, 1, 1, 0, 0, 1, 0, 3])


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_both_directions_and_copies_of_an_edge_point_at_the_first(make: object) -> None:
    xp = np if make is np.asarray else torch
    found = first_of_pair(make(SOURCE), make(TARGET), xp)  # type: ignore[operator]  # one of the two above
    assert found.tolist() == [0, 1, 2, 1, 4, 1, 0, 7]


def test_no_edges_have_no_places() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert first_of_pair(none, none, np).shape == (0,)


@pytest.mark.parametrize("xp", [np, torch])
def test_pairs_stay_apart_in_lists_of_32_bits(xp: Any) -> None:
    # 65536 (65536 + 1) + 65536 and 1 (65536 + 1) + 65535 differ by 2**32.
    source, target = xp.asarray([2**16, 1], dtype=xp.int32), xp.asarray([2**16, 2**16 - 1], dtype=xp.int32)
    assert first_of_pair(source, target, xp).tolist() == [0, 1]


def test_pairs_that_share_a_sum_or_a_node_stay_apart() -> None:
    source, target = np.triu_indices(40)
    assert np.array_equal(first_of_pair(source, target, np), np.arange(len(source)))
