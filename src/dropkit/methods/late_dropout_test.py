import pytest

from dropkit import DropkitError
from dropkit.methods.late_dropout import METHOD, late_dropout


def test_the_cutoff_step_itself_is_the_first_with_dropout() -> None:
    assert [late_dropout(0.3, 2).at(step).rate for step in range(4)] == [0.0, 0.0, 0.3, 0.3]


def test_the_picture_has_dropout_in_its_later_steps_alone() -> None:
    dropped = (METHOD.picture(7) == 0).any(axis=1)
    assert dropped.tolist() == [False] * 4 + [True] * 12


def test_a_cutoff_of_zero_steps_is_refused() -> None:
    with pytest.raises(DropkitError, match="steps must be a whole number of at least 1"):
        late_dropout(0.3, 0)
