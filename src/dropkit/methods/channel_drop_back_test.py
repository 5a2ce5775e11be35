import numpy as np
import pytest

from dropkit.core.check import DropkitError
from dropkit.core.reference import mask
from dropkit.methods.channel_drop_back import channel_drop_back


def test_a_channel_is_a_row_or_a_column_with_its_kernels() -> None:
    rows = mask(3, (32, 4, 3, 3), channel_drop_back(0.5))
    columns = mask(3, (4, 32, 3, 3), channel_drop_back(0.5, "inputs"))
    assert np.array_equal(rows, np.broadcast_to(rows[:, :1, :1, :1], rows.shape))
    assert np.array_equal(columns, np.broadcast_to(columns[:1, :, :1, :1], columns.shape))
    assert set(np.unique(rows)) == set(np.unique(columns)) == {0.0, 2.0}
    assert set(np.unique(mask(3, (32, 4), channel_drop_back(0.5, scale="none")))) == {0.0, 1.0}


def test_the_mean_of_the_gradient_stays() -> None:
    assert channel_drop_back(0.3).noise.moments(0.3).mean == pytest.approx(1, rel=1e-14)


def test_a_misspelt_axis_is_refused() -> None:
    with pytest.raises(DropkitError, match="did you mean 'inputs'"):
        channel_drop_back(0.5, "input")  # type: ignore[arg-type]  # a wrong kind is the point
