from benchmarks import attention, skip


def test_attention_is_compared_with_both_of_torchs() -> None:
    for task in attention.TASKS.values():
        found = task((1, 2, 16, 8), 0.1, turns=1)
        assert set(found) == {"without dropout", "with dropout"}
        assert min(found.values()) > 0


def test_skipped_steps_are_compared_with_whole_ones() -> None:
    assert set(skip.feed_forward(0.5, 1, 4, 8)) == {"masked", "thinned", "sliced"}
    assert set(skip.branch(0.5, 1, 4, 8)) == {"skipped"}
