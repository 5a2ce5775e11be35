import os

import pytest

from dropkit.experiments import crew


def test_an_orphan_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    crew._leave_with(os.getppid() + 1)
    assert codes == [1]


def test_a_child_stays_while_its_parent_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    class LookedTwiceError(Exception):
        pass

    looks: list[float] = []

    def look(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise LookedTwiceError

    monkeypatch.setattr("time.sleep", look)
    with pytest.raises(LookedTwiceError):
        crew._leave_with(os.getppid())
