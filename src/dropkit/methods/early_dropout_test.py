import pytest

from dropkit import DropkitError
from dropkit.methods.early_dropout import METHOD, early_dropout


def test_the_cutoff_step_itself_has_no_dropout_any_more() -> None:
    assert [early_dropout(0.3, 2).at(step).rate for step in range(4)] == [0.3, 0.3, 0.0, 0.0]


def test_the_picture_has_dropout_in_its_first_steps_alone() -> None:
    dropped = (METHOD.picture(7) == 0).any(axis=1)
    assert dropped.tolist() == [True] * 4 + [False] * 12


def test_a_cutoff_of_zero_steps_is_refused() -> None:
    with pytest.raises(DropkitError, match="steps must be a whole number of at least 1"):
        early_dropout(0.3, 0)
