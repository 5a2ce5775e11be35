"""The benchmark divides the right way round and its table is complete."""

import sys
import time

import pytest

from benchmarks import forward, turns


def test_a_slower_peer_gives_a_ratio_above_one() -> None:
    peers = {"slower": lambda: time.sleep(0.006), "faster": lambda: time.sleep(0.0001)}
    found = turns.ratios(lambda: time.sleep(0.002), peers)
    assert found["faster"] < 1 < found["slower"]


def test_every_task_prints_a_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["forward", "--threads", "1", "--sizes", "64"])
    forward.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines[1:]] == list(forward.TASKS)
