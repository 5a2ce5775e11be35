import pytest

from benchmarks import attention, skip, steps


def test_attention_is_compared_with_both_of_torchs() -> None:
    for task in attention.TASKS.values():
        found = task((1, 2, 16, 8), 0.1, turns=1)
        assert set(found) == {"without dropout", "with dropout"}
        assert min(found.values()) > 0


def test_skipped_steps_are_compared_with_whole_ones() -> None:
    assert set(skip.feed_forward(0.5, 1, 4, 8)) == {"masked", "thinned", "sliced", "smaller"}
    assert set(skip.branch(0.5, 1, 4, 8)) == {"skipped"}
    assert set(skip.lstm(0.5, 1, 2, 3, 8)) == {"masked", "thinned"}


@pytest.mark.parametrize("task", steps.TASKS)
def test_whole_steps_are_compared_with_those_without_dropout(task: str) -> None:
    found = steps.measure(task, turns=1)
    assert {"PyTorch", "dropkit"} <= set(found) <= {"PyTorch", "dropkit", "fused"}
    assert min(found.values()) > 0
