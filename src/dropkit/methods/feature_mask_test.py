import numpy as np
import pytest

from dropkit import DropkitError
from dropkit.core.check import OneOf
from dropkit.core.reference import mask
from dropkit.methods.feature_mask import feature_mask

SHAPE = (40, 30)


def test_a_hidden_column_is_hidden_in_every_node() -> None:
    drawn = mask(1, SHAPE, feature_mask(0.4))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:1], SHAPE))
    assert set(drawn[0]) == {0.0, 1.0}


def test_a_hidden_row_is_hidden_whole_and_entries_are_hidden_alone() -> None:
    drawn = mask(1, SHAPE, feature_mask(0.4, "row"))
    assert np.array_equal(drawn, np.broadcast_to(drawn[:, :1], SHAPE))
    drawn = mask(1, SHAPE, feature_mask(0.4, "entry"))
    assert len(np.unique(drawn, axis=0)) == SHAPE[0]
    assert len(np.unique(drawn, axis=1).T) == SHAPE[1]


@pytest.mark.parametrize("per", OneOf(("column", "row", "entry")).bad())
def test_another_word_is_refused(per: object) -> None:
    with pytest.raises(DropkitError, match="per must be one of 'column', 'row', 'entry'"):
        feature_mask(0.1, per)  # type: ignore[arg-type]  # that is the point
