import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.drop_message import drop_message


def test_a_node_sends_each_neighbour_another_part_of_itself() -> None:
    source = np.repeat(np.arange(4), 8)
    sent = np.ones((4, 64))[source] * mask(1, (32, 64), drop_message(0.5))
    assert len(np.unique(sent, axis=0)) == 32
    assert set(np.unique(sent)) == {0.0, 2.0}
