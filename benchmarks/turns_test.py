"""The benchmark divides the right way round."""

import time

from benchmarks import forward, turns


def test_a_slower_peer_gives_a_ratio_above_one() -> None:
    peers = {"slower": lambda: time.sleep(0.006), "faster": lambda: time.sleep(0.0001)}
    found = turns.ratios(lambda: time.sleep(0.002), peers)
    assert found["faster"] < 1 < found["slower"]


def test_every_task_of_dropout_is_compared_with_torchs() -> None:
    for measure in forward.TASKS.values():
        assert measure(64)["F.dropout"] > 0
