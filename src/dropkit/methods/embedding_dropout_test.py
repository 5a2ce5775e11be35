import numpy as np

from dropkit.core.reference import mask
from dropkit.methods.embedding_dropout import embedding_dropout


def test_a_word_that_occurs_twice_is_dropped_at_both_places() -> None:
    table = mask(9, (50, 4), embedding_dropout(0.5))
    read = table[np.array([[3, 7, 3], [7, 3, 3]])]
    assert np.array_equal(read[0, 0], read[1, 1])
    assert {tuple(row) for row in table} == {(0.0,) * 4, (2.0,) * 4}
